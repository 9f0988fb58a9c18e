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
from ledger.log.generation import POLL_INTERVAL_S, Pointer, followed
from ledger.log.kafka.cluster import Cluster
from ledger.log.kafka.reader import Reader
from ledger.log.record import MAX_RECORD, Draft, Record, checked
from ledger.log.topics import EVENTS, Topic

DELIVERY_S = 150
"""Longer than the client's own ``delivery_timeout_ms`` of 120 s: this ends a future that its defect leaves open."""
FURTHER_BACK = 16


class KafkaLog:
    """Many processes append and read, and many threads of each. LogUnavailable where the cluster does not answer.

    A failed append means that nobody knows: the records may stand, or some of them, or none. Whoever appends them
    again is safe, since an event's identity tells the repeat.
    """

    def __init__(self, cluster: Cluster, generation: int | None = None) -> None:
        """With a ``generation`` what is derived is given of that one, whichever is current."""
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
            self._current = time.monotonic(), followed(self)
        return self._current[1].number

    def follow(self) -> None:
        """The cluster is asked at most once a second."""
        if self._current is not None and (now := time.monotonic()) > self._current[0] + POLL_INTERVAL_S:
            self._current = now, followed(self, self._current[1])

    @property
    def pinned(self) -> Cluster:
        """The cluster, with the generation that is given."""
        return self.cluster._replace(generation=self.generation)

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        stood = self._send(topic, drafts)
        return [
            Record(draft.partition, one.offset, one.timestamp, draft.key, dict(draft.headers), draft.value)
            for draft, one in zip(drafts, stood, strict=True)
        ]

    def insert(self, topic: Topic, records: Sequence[Record]) -> None:
        """Append records of a partition as they stand, each with its time: for a copy, to a topic that keeps the
        times it is given (``admin.take``).

        TallyError where one came to stand elsewhere: then the topic is no copy, and never will be.
        """
        for record, one in zip(records, self._send(topic, records), strict=True):
            if (one.offset, one.timestamp) != (record.offset, record.time_ms):
                raise TallyError(
                    f"the record at {topic.name}, partition {record.partition}, offset {record.offset} came to stand "
                    f"at {one.offset} with the time {one.timestamp} (its own is {record.time_ms}) in {self}: somebody "
                    "else appends or alters the topic there; copy to another name, kafka://…/NAME"
                )

    def read(self, topic: Topic, partition: int, offset: int, max_bytes: int = READ_BYTES) -> list[Record]:
        with self._reading("give records") as reader:
            found = [_record(one) for one in reader.take(self._at(topic, partition), offset, max_bytes)]
        if topic.origin == "recorded" and topic.days is None:
            for expected, record in enumerate(found, offset):
                if record.offset != expected:
                    raise LogDamaged(
                        f"the record at {topic.name}, partition {partition}, offset {expected} is gone: what follows "
                        f"begins at {record.offset}; restore the log from a copy"
                    )
        return found

    def end(self, topic: Topic, partition: int) -> int:
        at = self._at(topic, partition)
        with self._reading("say where it ends") as reader:
            return reader.ends([at])[at]

    def ends(self, topic: Topic) -> list[int]:
        asked = [self._at(topic, partition) for partition in range(topic.partitions)]
        with self._reading("say where it ends") as reader:
            found = reader.ends(asked)
        return [found[at] for at in asked]

    def last(self, topic: Topic, partition: int) -> Record | None:
        at = self._at(topic, partition)
        with self._lock:
            end = self.end(topic, partition)
            known = self._last.get(at)
            if known is None or known[0] != end:
                known = self._last[at] = end, self._newest(topic, partition, end)
            return known[1]

    def close(self) -> None:
        with self._lock:
            for client in (self._producer, self._reader):
                if client is not None:
                    client.close()
            self._producer = self._reader = None

    def _send(self, topic: Topic, ones: Sequence[Draft] | Sequence[Record]) -> list[RecordMetadata]:
        """Append in order, and wait until all stand. A record brings its time, a draft has none."""
        drafts = [checked(Draft(one.partition, one.key, one.headers, one.value)) for one in ones]
        times = [one.time_ms if isinstance(one, Record) else None for one in ones]
        name = self._name(topic)
        with self._lock, self._answering("take records"):
            self._producer = producer = self._producer or _producer(self.cluster)
            try:
                futures = [
                    producer.send(
                        name, partition=draft.partition, key=draft.key.encode(), value=draft.value,
                        headers=[(key, value.encode()) for key, value in draft.headers.items()], timestamp_ms=time_ms,
                    )
                    for draft, time_ms in zip(drafts, times, strict=True)
                ]  # fmt: skip
                deadline = time.monotonic() + DELIVERY_S
                return [future.get(timeout=max(deadline - time.monotonic(), 0.001)) for future in futures]
            except BaseException:
                # After a refusal or an expiry this producer may fail or hang for ever: the next append makes another.
                self._producer = None
                with suppress(KafkaError):  # it gives up waiting, and leaves what is under way to its own thread
                    producer.close(timeout=0)
                raise

    def _at(self, topic: Topic, partition: int) -> TopicPartition:
        return TopicPartition(self._name(topic), partition)

    def _name(self, topic: Topic) -> str:
        return (self.pinned if topic.origin == "derived" else self.cluster).topic(topic)

    def _newest(self, topic: Topic, partition: int, end: int) -> Record | None:
        """Stepping back, since the last offsets may be those of a transaction's end, and of aborted records."""
        step = 2
        while end > 0:
            newest = None
            start = max(end - step, 0)
            while found := self.read(topic, partition, newest.offset + 1 if newest else start):
                newest = found[-1]
            if newest or start == 0:
                return newest
            step *= FURTHER_BACK
        return None

    @contextmanager
    def _reading(self, doing: str) -> Iterator[Reader]:
        with self._lock, self._answering(doing):
            if self._reader is None:
                self._reader = Reader(self.cluster)
                self._reader.check(self.cluster.topic(EVENTS))
            yield self._reader

    @contextmanager
    def _answering(self, doing: str) -> Iterator[None]:
        try:
            yield
        except KafkaError as error:
            raise LogUnavailable(f"the log at {self.cluster} does not {doing}: {error}") from error


def _producer(cluster: Cluster) -> KafkaProducer:
    return KafkaProducer(
        **cluster.client(), enable_idempotence=True, acks="all", compression_type="zstd", batch_size=256 << 10,
        max_request_size=MAX_RECORD, allow_auto_create_topics=False,
    )  # fmt: skip


def _record(one: ConsumerRecord) -> Record:
    """A record of ours as it stands on Kafka."""
    headers = {key: value.decode() for key, value in one.headers}
    return Record(one.partition, one.offset, one.timestamp, (one.key or b"").decode(), headers, one.value or b"")
