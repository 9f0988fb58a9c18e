"""`tally kafka serve` as a person and a supervisor meet it."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from ledger.home.presence import find_presence
from tests.kafka.cluster import kafka_jars
from tests.tally.conftest import COMMAND, ROOT, alive, eventually, home_environment, tally

NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
SERVE = [*COMMAND, "kafka", "serve"]


class Served:
    """The command, running for a home."""

    def __init__(self, home: Path, *arguments: str, **environment: str) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [*SERVE, *arguments], cwd=ROOT, env=home_environment({"TALLY_HOME": str(home)} | environment),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        eventually(lambda: find_presence(home, "kafka") is not None or self.process.poll() is not None, 120)
        assert self.process.poll() is None, self.process.communicate()[0]

    @property
    def facts(self) -> dict[str, Any]:
        facts = find_presence(self.home, "kafka")
        assert facts is not None
        return facts

    @property
    def bootstrap(self) -> str:
        return str(self.facts["url"].removeprefix("kafka://"))

    @property
    def java(self) -> int:
        (child,) = psutil.Process(self.process.pid).children()
        return child.pid

    def ended(self) -> tuple[int, str]:
        """Exit code, and all that it printed."""
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Serves one home, with a name that is not easy; what still runs at the end is killed."""
    kafka_jars()
    running: list[Served] = []

    def start(*arguments: str, **environment: str) -> Served:
        running.append(Served(tmp_path / "a home, größer", *arguments, **environment))
        return running[-1]

    yield start
    for served in running:
        served.process.kill()


def written(bootstrap: str, topic: str) -> list[bytes]:
    with KafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        return [record.value for records in consumer.poll(20_000).values() for record in records]


def test_data_and_address_outlive_stops_and_kills_and_later_starts_need_no_network(
    serve: Callable[..., Served],
) -> None:
    first = serve()
    bootstrap, port = first.bootstrap, first.facts["port"]
    assert bootstrap == f"127.0.0.1:{port}" and port < 32_768
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        admin.create_topics([NewTopic("kept", 1, 1)])
    with KafkaProducer(bootstrap_servers=bootstrap) as producer:
        producer.send("kept", b"kept").get(30)
    first.process.terminate()
    code, said = first.ended()
    assert code == 0 and "one machine: without replicas" in said and f"kafka://{bootstrap}" in said

    second = serve(**NO_NETWORK)
    assert second.bootstrap == bootstrap
    assert written(bootstrap, "kept") == [b"kept"]
    refused = tally("kafka", "serve", TALLY_HOME=str(second.home))
    assert refused.returncode == 2 and "already runs in another process" in refused.stderr
    java = second.java
    second.process.kill()
    eventually(lambda: not alive(java))
    second.ended()

    third = serve(**NO_NETWORK)
    assert third.bootstrap == bootstrap
    assert written(bootstrap, "kept") == [b"kept"]
    third.process.send_signal(signal.SIGINT)
    assert third.ended()[0] == 0
    assert find_presence(third.home, "kafka") is None


def test_java_that_dies_ends_the_command_with_its_last_lines(serve: Callable[..., Served]) -> None:
    served = serve()
    os.kill(served.java, signal.SIGKILL)
    code, said = served.ended()
    assert code == 1 and "Kafka ended by SIGKILL" in said and "Kafka Server started" in said
    kept = served.home / "kafka" / "data" / "meta.properties"
    kept.write_text(kept.read_text().replace("node.id=1", "node.id=2"))
    again = tally("kafka", "serve", TALLY_HOME=str(served.home))
    assert again.returncode == 1 and "with exit code 1; the last lines of" in again.stderr
    assert "node id" in again.stderr


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        by_option = tally("kafka", "serve", "--port", port, TALLY_HOME=str(tmp_path))
        by_setting = tally("kafka", "serve", TALLY_HOME=str(tmp_path), TALLY_KAFKA_PORT=port)
    for done in (by_option, by_setting):
        assert done.returncode == 2 and f"port {port} for Kafka is taken" in done.stderr
        assert "--port" in done.stderr and "TALLY_KAFKA_PORT" in done.stderr


def test_where_kafka_cannot_be_brought_it_says_so_and_ends(tmp_path: Path) -> None:
    done = tally("kafka", "serve", TALLY_HOME=str(tmp_path / "home"), M2_REPO=str(tmp_path / "m2"), **NO_NETWORK)
    assert done.returncode == 2, done.stderr
    assert "cannot download Apache Kafka's" in done.stderr and str(tmp_path / "m2") in done.stderr
    assert "Traceback" not in done.stderr
