"""The event log: one interface, and two transports behind it (embedded SQLite, Apache Kafka)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ledger.errors import LogDamaged
from ledger.log.record import PARTITIONS, Draft, Position, Record, partition_of
from ledger.log.topics import ENTRIES, Topic

__all__ = [
    "PARTITIONS",
    "Appends",
    "Draft",
    "Log",
    "Position",
    "Record",
    "folded",
    "newest_first",
    "partition_of",
    "records",
    "seek_cause",
    "seek_time",
]

READ_BYTES = 1 << 20
MIN_STEP_RECORDS, MAX_STEP_RECORDS = 4, 256


class Appender(Protocol):
    """What takes records for the log."""

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        """Append in the order given and return the records, durable. TallyError where the log cannot take them:
        then some of them, from the first on, may stand."""


class Log(Appender, Protocol):
    """Append-only records in partitions, each partition in one order."""

    @property
    def generation(self) -> int | None:
        """Whose topics it gives of what is derived: it keeps to the generation that was current when it was first
        asked. None where it holds one alone."""

    def follow(self) -> None:
        """Give from here on what is derived in the generation that is current now: for who waits, or looks on."""

    def read(self, topic: Topic, partition: int, offset: int, max_bytes: int = READ_BYTES) -> list[Record]:
        """The records from this offset on, in order: at least one where there is one, then up to the bytes."""

    def end(self, topic: Topic, partition: int) -> int:
        """An offset that no record has reached, and the next will get or surpass (on Kafka, transactions take
        offsets on derived topics); 0 where the partition is empty."""

    def ends(self, topic: Topic) -> list[int]:
        """The same of each partition, asked at once."""

    def last(self, topic: Topic, partition: int) -> Record | None:
        """The partition's newest record; None where it is empty."""

    def close(self) -> None:
        """Give back what the log holds open."""


def records(log: Log, topic: Topic, partition: int, offset: int = 0, end: int | None = None) -> Iterator[Record]:
    """The records of a partition in order, up to where it ends now or to ``end`` (exclusive)."""
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
    """The records before ``end``, the last one first: read in pieces that grow, since each is sought anew."""
    step = MIN_STEP_RECORDS
    while end > 0:
        start = max(end - step, 0)
        yield from reversed(list(records(log, topic, partition, start, end)))
        end, step = start, min(step * MIN_STEP_RECORDS, MAX_STEP_RECORDS)


def seek_cause(log: Log, topic: Topic, partition: int, offset: int) -> int:
    """The offset of the first derived record that was caused at or after this offset of ``tally.events``."""
    return _seek(log, topic, partition, lambda record: cause_offset(record) >= offset)


def seek_time(log: Log, topic: Topic, partition: int, time_ms: int) -> int:
    """The offset of the first record that the log gave this time or a later one."""
    return _seek(log, topic, partition, lambda record: record.time_ms >= time_ms)


def _seek(log: Log, topic: Topic, partition: int, is_reached: Callable[[Record], bool]) -> int:
    """By halving: records stand in the order of their times and, derived ones, of their causes."""
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
    """The next offset of ``tally.events`` after the last that caused a record of this derived topic; on
    ``tally.entries`` every record causes one, so that is how far the folds have come."""
    last = log.last(topic, partition)
    return cause_offset(last) + 1 if last else 0


def cause_offset(derived: Record) -> int:
    """The offset of ``tally.events`` that caused a derived record. LogDamaged where it does not say one."""
    try:
        return int(derived.headers["cause_offset"])
    except (KeyError, ValueError) as error:
        raise LogDamaged(
            f"the derived record of partition {derived.partition}, offset {derived.offset} does not say what caused it "
            f"({error!r}): `tally rebuild` derives everything again from the log"
        ) from error
