"""A broker with guarded listeners: SASL, TLS, both, and TLS that asks for the client's certificate too."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from kafka.admin import (
    KafkaAdminClient,
    UserScramCredentialUpsertion,
)

from ledger.home.ports import HOST, find_free_port
from tally.local_kafka.broker import Broker, Node, make_cluster_id
from tests.kafka.cluster import QUICK

USER, PASSWORD = "alice", "correct horse"
"""Whom both mechanisms, PLAIN and SCRAM-SHA-256, let in."""

_PROTOCOLS = {"SASL": "SASL_PLAINTEXT", "TLS": "SSL", "MUTUAL": "SSL", "SASL_TLS": "SASL_SSL"}


class Secured(NamedTuple):
    """``listeners`` are addresses by name: SASL, TLS, MUTUAL (TLS that asks for the client's certificate) and SASL_TLS.

    ``folder`` has ``ca.pem``, whom all trust, and ``client.pem`` with ``client.key``, whom MUTUAL lets in."""

    broker: Broker
    addresses: dict[str, str]
    folder: Path


@contextmanager
def secured(folder: Path, jars: list[Path]) -> Iterator[Secured]:
    """One such broker, started, with its user; its plain listener is ``broker.bootstrap``."""
    certificates(folder)
    ports = {listener: find_free_port() for listener in _PROTOCOLS}
    port, controller = find_free_port(), find_free_port()
    listeners = {"CLIENTS": port, "CONTROLLER": controller} | ports
    protocols = {"CLIENTS": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"} | _PROTOCOLS
    jaas = "org.apache.kafka.common.security"
    plain = f'{jaas}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
    node_settings = {
        "listeners": ",".join(f"{name}://{HOST}:{number}" for name, number in listeners.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "keystore.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.mutual.ssl.client.auth": "required",
    }
    for listener in ("sasl", "sasl_tls"):
        node_settings |= {
            f"listener.name.{listener}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            f"listener.name.{listener}.plain.sasl.jaas.config": plain,
            f"listener.name.{listener}.scram-sha-256.sasl.jaas.config": f"{jaas}.scram.ScramLoginModule required;",
        }
    node = Node(1, folder / "node", folder / "server.log", port, {1: controller}, QUICK, overrides=node_settings)
    broker = Broker(node, jars, make_cluster_id())
    try:
        broker.start()
        broker.wait_until_ready()
        with KafkaAdminClient(bootstrap_servers=broker.bootstrap) as admin:
            admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, "SCRAM-SHA-256", PASSWORD)])
        yield Secured(broker, {listener: f"{HOST}:{number}" for listener, number in ports.items()}, folder)
    finally:
        broker.kill()


def certificates(folder: Path) -> None:
    """An authority, a certificate of the broker (with its key: ``keystore.pem``) and one of a client, in PEM."""
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED: this machine has no openssl, which makes the certificates of this test")
    _openssl(folder, "req -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN=authority -keyout ca.key -out ca.pem")
    (folder / "names").write_text(f"subjectAltName=IP:{HOST}\n")
    for name in ("broker", "client"):
        _openssl(folder, f"req -nodes -newkey rsa:2048 -subj /CN={name} -keyout {name}.key -out {name}.csr")
        signing = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names"
        _openssl(folder, f"x509 -req -in {name}.csr {signing} -out {name}.pem")
    (folder / "keystore.pem").write_text((folder / "broker.key").read_text() + (folder / "broker.pem").read_text())


def _openssl(folder: Path, arguments: str) -> None:
    process = subprocess.run(["openssl", *arguments.split()], cwd=folder, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
