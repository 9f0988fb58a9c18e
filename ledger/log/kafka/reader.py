"""Reading a Kafka cluster's partitions, each at any place and pace, with one consumer."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError

from ledger.errors import TallyError
from ledger.log.kafka.cluster import Cluster

FETCH_BYTES = 256 << 10
POLL_MS = 20
"""The client sleeps a poll out whole where a place was only just sought."""
ANSWER_S = 30


@dataclass
class Held:
    """What was fetched of a partition and may be asked for again: everything from ``begin`` to ``next``, in order."""

    begin: int
    next: int
    records: deque[ConsumerRecord] = field(default_factory=deque)


class Reader:
    """Not safe for threads. Raises KafkaError.

    One partition is assigned at a time. (With all of them assigned, and all but one paused, kafka-python 3.0.12 never
    fetches again from some: records that it parked while a partition was paused are not taken back.)
    """

    def __init__(self, cluster: Cluster) -> None:
        self._consumer = KafkaConsumer(
            **cluster.client(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
            isolation_level="read_committed", allow_auto_create_topics=False, max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=10,  # one fetch is under way at a time, and another place may be asked for meanwhile
        )  # fmt: skip
        self._held: dict[TopicPartition, Held] = {}
        self._assigned: TopicPartition | None = None
        self._ends: dict[TopicPartition, int] = {}

    def check(self, topic: str) -> None:
        """TallyError where the cluster has no such topic: a question about it would be without an answer for long."""
        if not self._consumer.partitions_for_topic(topic):
            raise TallyError(f"the cluster has no topic {topic}: `tally topics apply` makes what lacks")

    def take(self, at: TopicPartition, offset: int, max_bytes: int) -> list[ConsumerRecord]:
        """Records from this offset on: at least one where there is one, then up to the bytes."""
        held = self._from(at, offset)
        if not held.records:
            self._fetch(at, held)
        found: list[ConsumerRecord] = []
        size = 0
        for record in held.records:
            found.append(record)
            size += len(record.value or b"")
            if size >= max_bytes:
                break
        return found

    def ends(self, asked: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset behind the last that is committed, of each."""
        found = {at: int(end) for at, end in self._consumer.end_offsets(list(asked)).items()}
        self._ends.update(found)
        return found

    def close(self) -> None:
        self._consumer.close()

    def _from(self, at: TopicPartition, offset: int) -> Held:
        held = self._held.get(at)
        if held is None or not held.begin <= offset <= held.next:
            held = self._held[at] = Held(offset, offset)
            self._assigned = None if self._assigned == at else self._assigned
        while held.records and held.records[0].offset < offset:
            held.records.popleft()
        held.begin = offset
        return held

    def _fetch(self, at: TopicPartition, held: Held) -> None:
        """Wait for records, or until there is nothing more but the ends of transactions."""
        if held.next >= self._ends.get(at, 0) and held.next >= self.ends([at])[at]:
            return
        if self._assigned != at:
            self._consumer.assign([at])
            self._consumer.seek(at, held.next)
            self._assigned = at
        deadline = time.monotonic() + ANSWER_S
        while not held.records and held.next < self._ends[at]:
            if time.monotonic() > deadline:
                raise KafkaTimeoutError(f"no record of {at.topic}, partition {at.partition} within {ANSWER_S} s")
            for records in self._consumer.poll(POLL_MS).values():
                held.records.extend(records)
            held.next = self._consumer.position(at)
