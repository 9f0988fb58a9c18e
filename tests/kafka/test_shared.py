"""The broker that tests share."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from tests.kafka.cluster import kafka_jars
from tests.tally.conftest import ROOT, alive, eventually, home_environment, lines


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_it_repacks_records_of_every_compression(kafka: str, codec: str) -> None:
    """The broker's native libraries are those that its folder unpacks."""
    topic = f"repacked-{uuid.uuid4()}"
    with KafkaAdminClient(bootstrap_servers=kafka) as admin:
        admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"compression.type": codec})])
    with KafkaProducer(bootstrap_servers=kafka) as producer:
        producer.send(topic, b"value" * 1000).get(30)
    with KafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
        assert next(consumer).value == b"value" * 1000


USING = """
import os, time
from pathlib import Path

def test_it(kafka):
    with Path({said!r}).open("a") as file:
        file.write(kafka + "\\n")
    while True:
        time.sleep(0.1)
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """A run of pytest in which two workers use the broker without an end, and where they write its address."""
    kafka_jars()
    said = tmp_path / "said"
    for name in ("one", "two"):
        (tmp_path / f"test_{name}.py").write_text(USING.format(said=str(said)))
    options = ["-p", "tests.kafka.plugin", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, "--basetemp", str(tmp_path / "base"), "--rootdir", str(tmp_path),
         str(tmp_path)],
        cwd=ROOT, env=home_environment({}), stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    yield process, said
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_workers_share_one_and_it_goes_with_them_however_they_end(
    run: "tuple[subprocess.Popen[bytes], Path]",
) -> None:
    process, said = run
    eventually(lambda: len(lines(said)) == 2, 120)
    (bootstrap,) = set(lines(said))
    port = int(bootstrap.rpartition(":")[2])
    (java,) = (
        each.pid
        for each in psutil.net_connections()
        if each.laddr and each.laddr.port == port and each.status == "LISTEN"
    )
    assert java is not None
    os.killpg(process.pid, signal.SIGKILL)
    eventually(lambda: not alive(java))
