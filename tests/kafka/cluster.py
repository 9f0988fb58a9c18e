"""Clusters of Apache Kafka for tests: each node a process that can be killed and started again on its own."""

from pathlib import Path

import pytest

from ledger.errors import TallyError
from ledger.home.ports import find_free_port
from tally.local_kafka.broker import Broker, Node, make_cluster_id
from tally.local_kafka.jars import ensure_jars

QUICK = ("-Xmx2g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Flags by which Java starts with two thirds of the work, and works on more slowly. The heap is only taken where it is
needed: the broker that all tests share holds their topics, and at eight thousand partitions 256 MB were too few."""


def kafka_jars() -> list[Path]:
    """Kafka's jars; where the machine cannot get them the test is skipped, which CI does not allow."""
    try:
        return ensure_jars(lambda done, total: None)
    except TallyError as error:
        pytest.skip(f"NOT TESTED: no Kafka: {error}")


class Cluster:
    """So many nodes on one machine, with as many copies of each topic."""

    def __init__(self, folder: Path, size: int, jars: list[Path]) -> None:
        ports = [find_free_port() for _ in range(2 * size)]
        voters = dict(enumerate(ports[size:], start=1))
        nodes = [Node(id, folder / str(id), folder / f"{id}.log", ports[id - 1], voters, QUICK) for id in voters]
        cluster_id = make_cluster_id()
        self.brokers = [Broker(node, jars, cluster_id) for node in nodes]

    @property
    def bootstrap(self) -> str:
        """Every node's address, for clients."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    def start(self) -> None:
        """Start all nodes, and wait until all answer."""
        for broker in self.brokers:
            broker.start()
        for broker in self.brokers:
            broker.wait_until_ready()

    def kill(self) -> None:
        """SIGKILL for all nodes."""
        for broker in self.brokers:
            broker.kill()
