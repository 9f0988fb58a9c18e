"""The event log: one interface, and two transports behind it (embedded SQLite, Apache Kafka)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ledger.log.record import PARTITIONS, Draft, Position, Record, parse_position, partition_of
from ledger.log.topics import ENTRIES, Topic

__all__ = [
    "PARTITIONS",
    "Appender",
    "Draft",
    "Log",
    "Position",
    "Record",
    "fold_offset",
    "newest_first",
    "parse_position",
    "partition_of",
    "records",
    "seek_cause",
    "seek_time",
]

READ_BYTES = 1 << 20
MIN_STEP_RECORDS, MAX_STEP_RECORDS = 4, 256


class Appender(Protocol):
    """A log, or its stand-in, that accepts records."""

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        """Append in the order given and return the records, durable. TallyError where the log cannot accept them: then
        some of them, from the first on, may be on it."""


class Log(Appender, Protocol):
    """Append-only records in partitions, each partition in one order."""

    @property
    def generation(self) -> int | None:
        """The generation whose derived topics are read: the one that was current at the first derived read. None where
        the log holds one alone."""

    def follow(self) -> None:
        """Read derived topics of the current generation from here on: for readers that wait."""

    def read(self, topic: Topic, partition: int, offset: int, max_bytes: int = READ_BYTES) -> list[Record]:
        """Read the records from this offset on, in order: at least one where there is one, then up to the bytes."""

    def end(self, topic: Topic, partition: int) -> int:
        """Return an offset behind the last record, which the next record gets or surpasses (on Kafka, transactions take
        offsets on derived topics); 0 where the partition is empty."""

    def ends(self, topic: Topic) -> list[int]:
        """Return the end of each partition, asked at once."""

    def last(self, topic: Topic, partition: int) -> Record | None:
        """Return the partition's newest record; None where it is empty."""

    def close(self) -> None:
        """Close the log's files and connections."""


def records(log: Log, topic: Topic, partition: int, offset: int = 0, end: int | None = None) -> Iterator[Record]:
    """Yield the records of a partition in order, up to its end now or to ``end`` (exclusive)."""
    limit = log.end(topic, partition) if end is None else end
    while offset < limit:
        batch = log.read(topic, partition, offset)
        if not batch:
            return
        for record in batch:
            if record.offset >= limit:
                return
            yield record
        offset = batch[-1].offset + 1


def newest_first(log: Log, topic: Topic, partition: int, end: int) -> Iterator[Record]:
    """Yield the records before ``end``, the last one first: read in steps that grow, since each step is a seek."""
    step = MIN_STEP_RECORDS
    while end > 0:
        start = max(end - step, 0)
        yield from reversed(list(records(log, topic, partition, start, end)))
        end, step = start, min(step * MIN_STEP_RECORDS, MAX_STEP_RECORDS)


def seek_cause(log: Log, topic: Topic, partition: int, offset: int) -> int:
    """Find the offset of the first derived record that was caused at or after this offset of ``tally.events``."""
    return _seek(log, topic, partition, lambda record: record.cause_offset >= offset)


def seek_time(log: Log, topic: Topic, partition: int, time_ms: int) -> int:
    """Find the offset of the first record that the log gave this time or a later one."""
    return _seek(log, topic, partition, lambda record: record.time_ms >= time_ms)


def _seek(log: Log, topic: Topic, partition: int, is_reached: Callable[[Record], bool]) -> int:
    """Search by halving: records are in the order of their times and, derived ones, of their causes."""
    newest = log.last(topic, partition)
    if newest is None or not is_reached(newest):
        return log.end(topic, partition)
    low, high = 0, newest.offset
    while low < high:
        middle = (low + high) // 2
        batch = log.read(topic, partition, middle, max_bytes=1)
        if batch and not is_reached(batch[0]):
            low = middle + 1
        else:
            high = middle
    return low


def fold_offset(log: Log, partition: int, topic: Topic = ENTRIES) -> int:
    """Return the next offset of ``tally.events`` after the last that caused a record of this derived topic. On
    ``tally.entries`` every record causes one, so that is the position of the folds."""
    last = log.last(topic, partition)
    return last.cause_offset + 1 if last else 0
