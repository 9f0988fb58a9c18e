"""The listeners of the secured broker accept the right credentials, through both clients, and refuse all others."""

import asyncio
import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError as AioKafkaError
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from tests.faults.house import House
from tests.kafka.cluster import kafka_jars
from tests.kafka.secured import PASSWORD, USER, Secured, secured

TOPIC = "behind-listeners"
LISTENERS = ["SASL", "SASL_TLS", "TLS", "MUTUAL"]
WHO, TRUST = "{user}:{password}@", "ssl_cafile={folder}/ca.pem"
OURS = "ssl_certfile={folder}/client.pem&ssl_keyfile={folder}/client.key"
WAYS = {
    "SASL_TLS": (WHO, f"sasl_mechanism=PLAIN&{TRUST}"),
    "SASL": (WHO, "security_protocol=SASL_PLAINTEXT&sasl_mechanism=SCRAM-SHA-256"),
    "TLS": ("", f"security_protocol=SSL&{TRUST}"),
    "MUTUAL": ("", f"security_protocol=SSL&{TRUST}&{OURS}"),
}
"""Who comes to each listener, and what TALLY_LOG says besides."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("secured"), kafka_jars()) as made:
        with KafkaAdminClient(bootstrap_servers=made.broker.bootstrap) as admin:
            admin.create_topics([NewTopic(TOPIC, 1, 1)])
        yield made


def sasl(mechanism: str, password: str) -> dict[str, Any]:
    return {"sasl_mechanism": mechanism, "sasl_plain_username": USER, "sasl_plain_password": password}


def tls(house: Secured, *, trusting: bool, certificate: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=house.folder / "ca.pem" if trusting else None)
    if certificate:
        context.load_cert_chain(house.folder / "client.pem", house.folder / "client.key")
    return context


def settings(house: Secured, listener: str, mechanism: str, *, right: bool) -> dict[str, Any]:
    """Build a client's settings for a listener: all of them right, or the one wrong that the listener checks."""
    said = {"bootstrap_servers": house.addresses[listener]}
    password = PASSWORD if right else "wrong"
    match listener:
        case "SASL":
            return said | sasl(mechanism, password) | {"security_protocol": "SASL_PLAINTEXT"}
        case "SASL_TLS":
            context = {"security_protocol": "SASL_SSL", "ssl_context": tls(house, trusting=True)}
            return said | sasl(mechanism, password) | context
        case "TLS":
            return said | {"security_protocol": "SSL", "ssl_context": tls(house, trusting=right)}
        case _:
            context = {"ssl_context": tls(house, trusting=True, certificate=right)}
            return said | {"security_protocol": "SSL"} | context


def by_kafka_python(settings: dict[str, Any]) -> None:
    producer = KafkaProducer(**settings, bootstrap_timeout_ms=4_000, max_block_ms=4_000)
    try:
        producer.send(TOPIC, b"x").get(10)
    finally:
        producer.close(timeout=0)


def by_aiokafka(settings: dict[str, Any]) -> None:
    async def send() -> None:
        producer = AIOKafkaProducer(**settings, request_timeout_ms=4_000)
        try:
            await producer.start()
            await asyncio.wait_for(producer.send_and_wait(TOPIC, b"x"), 10)
        finally:
            await producer.stop()

    asyncio.run(send())


CASES = [
    (listener, mechanism) for listener in LISTENERS for mechanism in ["PLAIN", "SCRAM-SHA-256"] if "SASL" in listener
] + [
    ("TLS", "none"),
    ("MUTUAL", "none"),
]


@pytest.mark.long
@pytest.mark.parametrize("client", [by_kafka_python, by_aiokafka])
@pytest.mark.parametrize(("listener", "mechanism"), CASES)
def test_a_listener_lets_in_whom_it_should_and_nobody_else(
    house: Secured, listener: str, mechanism: str, client: Any
) -> None:
    client(settings(house, listener, mechanism, right=True))
    with pytest.raises((KafkaError, AioKafkaError)):
        client(settings(house, listener, mechanism, right=False))


@pytest.mark.long
@pytest.mark.parametrize("client", [by_kafka_python, by_aiokafka])
def test_no_listener_speaks_plainly(house: Secured, client: Any) -> None:
    for listener in ("SASL", "TLS"):
        with pytest.raises((KafkaError, AioKafkaError)):
            client({"bootstrap_servers": house.addresses[listener], "security_protocol": "PLAINTEXT"})


@pytest.mark.parametrize(
    "listener", ["SASL_TLS", *(pytest.param(one, marks=pytest.mark.long) for one in LISTENERS if one != "SASL_TLS")]
)
def test_the_folds_work_behind_every_listener(house: Secured, tmp_path: Path, listener: str) -> None:
    """Every client of ours is let in: kafka-python's, aiokafka's, and Faust's."""
    who, more = WAYS[listener]
    said = {"user": USER, "password": quote(PASSWORD), "folder": house.folder}
    url = f"kafka://{who}{house.addresses[listener]}/{uuid.uuid4()}?{more}".format(**said)
    home = House(tmp_path / "home", log=url)
    try:
        home.start("streams")
        home.ask("budget", "set", "--scope", "team=x", "--limit", "1", "--window", "1h", "--reason", "a test")
        home.until(home.folded)
    finally:
        home.kill()
