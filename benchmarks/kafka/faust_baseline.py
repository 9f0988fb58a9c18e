"""The plain Faust program's topics, and the content of its Table by its changelog."""

import json
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from benchmarks.harness.kafka_workers import PARTITION_COUNT, Crew
from ledger.log import Record

PROGRAM = (sys.executable, "-m", "benchmarks.kafka.faust_baseline_app", "worker", "--loglevel", "warn", "--without-web")


class PlainProgram:
    """One run of the plain program, on a topic of its own with as many partitions as the workload has."""

    def __init__(self, bootstrap: str) -> None:
        self.name = f"plain-{uuid.uuid4()}"
        self._bootstrap = bootstrap
        self._calls = f"{self.name}-calls"
        self._changes = [TopicPartition(f"{self.name}-spend-changelog", number) for number in range(PARTITION_COUNT)]
        with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
            admin.create_topics([NewTopic(self._calls, PARTITION_COUNT, 1)])
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=self.name, enable_auto_commit=False, auto_offset_reset="earliest"
        )

    def crew(self, folder: Path) -> Crew:
        return Crew(
            folder, PROGRAM, PLAIN_NAME=self.name, PLAIN_BROKER=self._bootstrap, PLAIN_PARTITIONS=str(PARTITION_COUNT)
        )  # fmt: skip

    def send(self, events: Iterable[bytes]) -> None:
        """Send the events, one a record, keyed by session."""
        for event in events:
            self._producer.send(self._calls, event, key=read_session(event).encode())
        self._producer.flush()

    def count_changes(self) -> int:
        """Count the changes of its Table on the broker: one an event, where nothing is repeated."""
        if self._changes[0].topic not in self._consumer.topics():
            return 0
        return sum(self._consumer.end_offsets(self._changes).values())

    def count_pending(self) -> int:
        """Count the events that it has not committed."""
        partitions = [TopicPartition(self._calls, number) for number in range(PARTITION_COUNT)]
        ends = self._consumer.end_offsets(partitions)
        return sum(ends[partition] - (self._consumer.committed(partition) or 0) for partition in partitions)

    def read_counts(self) -> dict[str, int]:
        """Return the calls of each session, as its Table will hold them after a recovery."""
        self._consumer.assign(self._changes)
        self._consumer.seek_to_beginning(*self._changes)
        ends = self._consumer.end_offsets(self._changes)
        counts: dict[str, int] = {}
        while any(self._consumer.position(partition) < end for partition, end in ends.items()):
            for records in self._consumer.poll(500).values():
                counts.update((json.loads(record.key), json.loads(record.value)["calls"]) for record in records)
        return counts

    def close(self) -> None:
        self._producer.close()
        self._consumer.close()


def split_lines(partitions: Iterable[Iterable[Record]]) -> list[bytes]:
    """Return the workload's calls, one by one."""
    return [line for first, *records in partitions for record in records for line in record.value.split(b"\n")]


def read_session(line: bytes) -> str:
    return str(msgspec.json.decode(line)["data"]["session"])
