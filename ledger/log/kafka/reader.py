"""Read a Kafka cluster's partitions, each at any offset and pace, with one consumer."""

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
POLL_TIMEOUT_MS = 20
"""The client sleeps through a whole poll just after a seek."""
FETCH_TIMEOUT_S = 30


@dataclass
class Buffer:
    """Records that were fetched of a partition and may be read again: all from ``begin`` to ``next``, in order."""

    begin: int
    next: int
    records: deque[ConsumerRecord] = field(default_factory=deque)


class Reader:
    """Reads one partition at a time. Not safe for threads. Raises KafkaError.

    With all partitions assigned, and all but one paused, kafka-python 3.0.12 never fetches again from some: records
    that it parked while a partition was paused are not returned."""

    def __init__(self, cluster: Cluster) -> None:
        self._consumer = KafkaConsumer(
            **cluster.client(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
            isolation_level="read_committed", allow_auto_create_topics=False, max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=10,  # one fetch is under way at a time, and another place may be asked for meanwhile
        )  # fmt: skip
        self._buffers: dict[TopicPartition, Buffer] = {}
        self._assigned: TopicPartition | None = None
        self._ends: dict[TopicPartition, int] = {}

    def check(self, topic: str) -> None:
        """Check that the cluster has a topic. TallyError where it has not: a read would wait long for an answer."""
        if not self._consumer.partitions_for_topic(topic):
            raise TallyError(f"the cluster has no topic {topic}: `tally topics apply` creates missing topics")

    def take(self, partition: TopicPartition, offset: int, max_bytes: int) -> list[ConsumerRecord]:
        """Return records from this offset on: at least one where there is one, then up to the bytes."""
        buffer = self._get_buffer(partition, offset)
        if not buffer.records:
            self._fetch(partition, buffer)
        records: list[ConsumerRecord] = []
        size = 0
        for record in buffer.records:
            records.append(record)
            size += len(record.value or b"")
            if size >= max_bytes:
                break
        return records

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset behind the last committed record of each partition."""
        ends = {partition: int(end) for partition, end in self._consumer.end_offsets(list(partitions)).items()}
        self._ends.update(ends)
        return ends

    def close(self) -> None:
        self._consumer.close()

    def _get_buffer(self, partition: TopicPartition, offset: int) -> Buffer:
        buffer = self._buffers.get(partition)
        if buffer is None or not buffer.begin <= offset <= buffer.next:
            buffer = self._buffers[partition] = Buffer(offset, offset)
            self._assigned = None if self._assigned == partition else self._assigned
        while buffer.records and buffer.records[0].offset < offset:
            buffer.records.popleft()
        buffer.begin = offset
        return buffer

    def _fetch(self, partition: TopicPartition, buffer: Buffer) -> None:
        """Wait for records, or until only ends of transactions are left."""
        if buffer.next >= self._ends.get(partition, 0) and buffer.next >= self.ends([partition])[partition]:
            return
        if self._assigned != partition:
            self._consumer.assign([partition])
            self._consumer.seek(partition, buffer.next)
            self._assigned = partition
        deadline = time.monotonic() + FETCH_TIMEOUT_S
        while not buffer.records and buffer.next < self._ends[partition]:
            if time.monotonic() > deadline:
                raise KafkaTimeoutError(
                    f"no record of {partition.topic}, partition {partition.partition} within {FETCH_TIMEOUT_S} s"
                )
            for records in self._consumer.poll(POLL_TIMEOUT_MS).values():
                buffer.records.extend(records)
            buffer.next = self._consumer.position(partition)
