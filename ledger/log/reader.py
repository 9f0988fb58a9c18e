"""Reading a Kafka cluster's partitions, each at any place and pace, with one consumer."""

import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError

from ledger.log.cluster import Cluster

FETCH_BYTES = 256 << 10
POLL_MS = 20
"""The client sleeps a poll out whole where a place was only just sought."""
ANSWER_S = 30


class Held(NamedTuple):
    """What was fetched of a partition and may be asked for again: everything from ``begin`` on, in order."""

    begin: int
    records: deque[ConsumerRecord]


class Reader:
    """Not safe for threads. Raises KafkaError."""

    def __init__(self, cluster: Cluster) -> None:
        self._consumer = KafkaConsumer(
            **cluster.client(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
            isolation_level="read_committed", allow_auto_create_topics=False, max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=10,  # one fetch is under way at a time, and another place may be asked for meanwhile
        )  # fmt: skip
        self._held: dict[TopicPartition, Held] = {}
        self._active: TopicPartition | None = None
        self._ends: dict[TopicPartition, int] = {}

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
        if held is None:
            # Assigning anew keeps the places of those that were assigned before.
            self._consumer.assign([*self._held, at])
            self._consumer.pause(at)
        elif held.begin <= offset <= self._consumer.position(at):
            while held.records and held.records[0].offset < offset:
                held.records.popleft()
            held = self._held[at] = Held(offset, held.records)
            return held
        self._consumer.seek(at, offset)
        held = self._held[at] = Held(offset, deque())
        return held

    def _fetch(self, at: TopicPartition, held: Held) -> None:
        """Wait for records, or until there is nothing more but the ends of transactions."""
        if self._active != at:
            if self._active:
                self._consumer.pause(self._active)
            self._consumer.resume(at)
            self._active = at
        if self._drained(at):
            self.ends([at])
        deadline = time.monotonic() + ANSWER_S
        while not held.records and not self._drained(at):
            if time.monotonic() > deadline:
                raise KafkaTimeoutError(f"no record of {at.topic}, partition {at.partition} within {ANSWER_S} s")
            for records in self._consumer.poll(POLL_MS).values():
                held.records.extend(records)

    def _drained(self, at: TopicPartition) -> bool:
        position = self._consumer.position(at)
        return position is not None and position >= self._ends.get(at, 0)
