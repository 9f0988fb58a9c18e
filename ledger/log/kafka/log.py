"""The Kafka transport: a topic of the cluster for each of the log's, by kafka-python.

Producers are idempotent and wait for every in-sync replica; they are never transactional on a recorded topic, so
that its offsets have no gaps. Readers see what was committed.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from kafka import KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.producer.future import RecordMetadata

from ledger.errors import LogDamaged, LogUnavailable, TallyError
from ledger.log import READ_BYTES
from ledger.log.generation import POLL_INTERVAL_S, Pointer, follow_pointer
from ledger.log.kafka.cluster import Cluster
from ledger.log.kafka.reader import Reader
from ledger.log.record import MAX_RECORD_BYTES, Draft, Record, check_draft
from ledger.log.topics import EVENTS, Topic

DELIVERY_TIMEOUT_S = 150
"""Longer than the client's own ``delivery_timeout_ms`` of 120 s: this ends a future that a defect of it leaves open."""
STEP_FACTOR = 16


class KafkaLog:
    """Many processes append and read, with many threads each. LogUnavailable where the cluster does not answer.

    After a failed append nobody knows whether the records are on the log: all, some or none. Appending them again is
    safe, since the identity of an event reveals the repeat."""

    def __init__(self, cluster: Cluster, generation: int | None = None) -> None:
        """Open the log. With a ``generation`` the derived topics of that one are read, whichever is current."""
        self.cluster = cluster
        self._generation = generation
        self._current: tuple[float, Pointer] | None = None
        self._lock = threading.RLock()
        self._producer: KafkaProducer | None = None
        self._reader: Reader | None = None
        self._last: dict[TopicPartition, tuple[int, Record | None]] = {}

    def __str__(self) -> str:
        return str(self.cluster)

    @property
    def generation(self) -> int:
        if self._generation is not None:
            return self._generation
        if self._current is None:
            self._current = time.monotonic(), follow_pointer(self)
        return self._current[1].number

    def follow(self) -> None:
        """Read the current generation from here on. The cluster is asked once a second at most."""
        if self._current is not None and (now := time.monotonic()) > self._current[0] + POLL_INTERVAL_S:
            self._current = now, follow_pointer(self, self._current[1])

    @property
    def generation_cluster(self) -> Cluster:
        """The cluster, with the generation that the log reads."""
        return self.cluster._replace(generation=self.generation)

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        stored_records = self._send(topic, drafts)
        return [
            Record(
                draft.partition,
                stored_record.offset,
                stored_record.timestamp,
                draft.key,
                dict(draft.headers),
                draft.value,
            )
            for draft, stored_record in zip(drafts, stored_records, strict=True)
        ]

    def insert(self, topic: Topic, records: Sequence[Record]) -> None:
        """Append records of a partition with their times: for a copy, to a topic that keeps the times it is given
        (``begin_copy``).

        TallyError where a record got another offset: then the topic is no copy, and never will be."""
        for record, stored_record in zip(records, self._send(topic, records), strict=True):
            if (stored_record.offset, stored_record.timestamp) != (record.offset, record.time_ms):
                raise TallyError(
                    f"the record at {topic.name}, partition {record.partition}, offset {record.offset} came to stand "
                    f"at {stored_record.offset} with the time {stored_record.timestamp} (its own is {record.time_ms}) "
                    f"in {self}: somebody else appends or alters the topic there; copy to another name, kafka://…/NAME"
                )

    def read(self, topic: Topic, partition: int, offset: int, max_bytes: int = READ_BYTES) -> list[Record]:
        with self._reading("give records") as reader:
            records = [
                _convert_record(record)
                for record in reader.take(self._topic_partition(topic, partition), offset, max_bytes)
            ]
        if topic.origin == "recorded" and topic.days is None:
            for expected, record in enumerate(records, offset):
                if record.offset != expected:
                    raise LogDamaged(
                        f"the record at {topic.name}, partition {partition}, offset {expected} is gone: what follows "
                        f"begins at {record.offset}; restore the log from a copy"
                    )
        return records

    def end(self, topic: Topic, partition: int) -> int:
        topic_partition = self._topic_partition(topic, partition)
        with self._reading("say where it ends") as reader:
            return reader.ends([topic_partition])[topic_partition]

    def ends(self, topic: Topic) -> list[int]:
        topic_partitions = [self._topic_partition(topic, partition) for partition in range(topic.partitions)]
        with self._reading("say where it ends") as reader:
            ends = reader.ends(topic_partitions)
        return [ends[topic_partition] for topic_partition in topic_partitions]

    def last(self, topic: Topic, partition: int) -> Record | None:
        topic_partition = self._topic_partition(topic, partition)
        with self._lock:
            end = self.end(topic, partition)
            cached = self._last.get(topic_partition)
            if cached is None or cached[0] != end:
                cached = self._last[topic_partition] = end, self._find_newest(topic, partition, end)
            return cached[1]

    def close(self) -> None:
        with self._lock:
            for client in (self._producer, self._reader):
                if client is not None:
                    client.close()
            self._producer = self._reader = None

    def _send(self, topic: Topic, sources: Sequence[Draft] | Sequence[Record]) -> list[RecordMetadata]:
        """Append in order, and wait until all are on the log. A record brings its time, a draft has none."""
        drafts = [check_draft(Draft(source.partition, source.key, source.headers, source.value)) for source in sources]
        times = [source.time_ms if isinstance(source, Record) else None for source in sources]
        name = self._topic_name(topic)
        with self._lock, self._cluster_errors("take records"):
            self._producer = producer = self._producer or _open_producer(self.cluster)
            try:
                futures = [
                    producer.send(
                        name, partition=draft.partition, key=draft.key.encode(), value=draft.value,
                        headers=[(key, value.encode()) for key, value in draft.headers.items()], timestamp_ms=time_ms,
                    )
                    for draft, time_ms in zip(drafts, times, strict=True)
                ]  # fmt: skip
                deadline = time.monotonic() + DELIVERY_TIMEOUT_S
                return [future.get(timeout=max(deadline - time.monotonic(), 0.001)) for future in futures]
            except BaseException:
                # After a refusal, an expiry or an interrupt this producer may fail, hang for ever or still send records
                # that nobody waits for: the next append makes another.
                self._producer = None
                with suppress(KafkaError):  # it gives up waiting, and leaves what is under way to its own thread
                    producer.close(timeout=0)
                raise

    def _topic_partition(self, topic: Topic, partition: int) -> TopicPartition:
        return TopicPartition(self._topic_name(topic), partition)

    def _topic_name(self, topic: Topic) -> str:
        return (self.generation_cluster if topic.origin == "derived" else self.cluster).topic(topic)

    def _find_newest(self, topic: Topic, partition: int, end: int) -> Record | None:
        """Find the newest record by stepping back: the last offsets may be a transaction's end, or aborted records."""
        step = 2
        while end > 0:
            newest = None
            start = max(end - step, 0)
            while records := self.read(topic, partition, newest.offset + 1 if newest else start):
                newest = records[-1]
            if newest or start == 0:
                return newest
            step *= STEP_FACTOR
        return None

    @contextmanager
    def _reading(self, action: str) -> Iterator[Reader]:
        with self._lock, self._cluster_errors(action):
            if self._reader is None:
                self._reader = Reader(self.cluster)
                self._reader.check(self.cluster.topic(EVENTS))
            yield self._reader

    @contextmanager
    def _cluster_errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except KafkaError as error:
            raise LogUnavailable(f"the log at {self.cluster} does not {action}: {error}") from error


def _open_producer(cluster: Cluster) -> KafkaProducer:
    return KafkaProducer(
        **cluster.client(), enable_idempotence=True, acks="all", compression_type="zstd", batch_size=256 << 10,
        max_request_size=MAX_RECORD_BYTES, allow_auto_create_topics=False,
    )  # fmt: skip


def _convert_record(record: ConsumerRecord) -> Record:
    """Convert a record of the client library."""
    headers = {key: value.decode() for key, value in record.headers}
    return Record(
        record.partition, record.offset, record.timestamp, (record.key or b"").decode(), headers, record.value or b""
    )
