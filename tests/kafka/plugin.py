"""The fixtures ``kafka``, ``either``, ``own`` and ``three``, for every test (`tests/conftest.py` loads them).

``kafka`` is one broker for a whole run of pytest, also where several workers share it. A keeper, a process of its
own, starts it, and ends it when nobody holds the lock ``users`` any more, which also those who are killed let go.
"""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ledger.home.locks import locked, service_lock
from ledger.home.presence import announce, find_presence

if TYPE_CHECKING:  # every run of pytest loads this file; Kafka's clients take a second, and most runs need none
    from tests.kafka.cluster import Cluster


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of this run's broker. It is shared: a test makes topics and groups with names of its own."""
    from tests.kafka.cluster import kafka_jars

    kafka_jars()
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kafka"
    with locked(home / "users", is_shared=True):  # waits for a keeper that is just ending
        with locked(home / "starting"):
            if find_presence(home, "kafka") is None:
                _start_keeper(home)
        facts = find_presence(home, "kafka")
        assert facts is not None
        yield facts["bootstrap"]


@pytest.fixture(params=["embedded", "kafka"])
def either(request: pytest.FixtureRequest) -> str | None:
    """The log of a new home, as ``Settings(log=…)`` takes it: who asks for it runs on both."""
    return None if request.param == "embedded" else f"kafka://{request.getfixturevalue('kafka')}/{uuid.uuid4()}"


@pytest.fixture
def own(tmp_path: Path) -> "Iterator[Cluster]":
    """A new broker that the test may kill, or whose data it may replace."""
    yield from start_cluster(tmp_path / "own", 1)


@pytest.fixture
def three(tmp_path: Path) -> "Iterator[Cluster]":
    """A new cluster of three, all of them up: three copies, of which two must take a write."""
    yield from start_cluster(tmp_path / "three", 3)


def start_cluster(folder: Path, size: int) -> "Iterator[Cluster]":
    from tests.kafka.cluster import Cluster, kafka_jars

    cluster = Cluster(folder, size, kafka_jars())
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


def _start_keeper(home: Path) -> None:
    with (home / "keeper.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(home)], cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for pytest; the keeper sees its end
        )  # fmt: skip
    while find_presence(home, "kafka") is None:
        if process.poll() is not None:
            pytest.fail(f"the shared Kafka did not start:\n{(home / 'keeper.log').read_text()}")
        time.sleep(0.05)


def _keep(home: Path) -> None:
    from tests.kafka.cluster import Cluster, kafka_jars

    cluster = Cluster(home, 1, kafka_jars())
    with ExitStack() as ending, service_lock(home, "kafka"):
        try:
            cluster.start()
            announce(home, "kafka", bootstrap=cluster.bootstrap)
            ending.enter_context(locked(home / "users"))  # who comes now waits until we are gone
        finally:
            cluster.kill()


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
