"""The event log: one interface, and the embedded transport behind it (Kafka takes its place beside it)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ledger.log.record import PARTITIONS, Draft, Position, Record, partition_of
from ledger.topics import ENTRIES, Topic

__all__ = ["PARTITIONS", "Draft", "Log", "Position", "Record", "folded", "partition_of", "records", "seek_cause"]

READ_BYTES = 1 << 20


class Log(Protocol):
    """Append-only records in partitions, each partition in one order."""

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        """Append in the order given and return the records; they are durable, and stand together or not at
        all where they have at most ``READ_BYTES``. TallyError where the log cannot take them."""

    def append_relayed(self, topic: Topic, draft: Draft, relays: Callable[[Record], Sequence[Draft]]) -> list[Record]:
        """Append a record and those that are made of it: all of them stand, or none. Otherwise as ``append``."""

    def read(self, topic: Topic, partition: int, offset: int, max_bytes: int = READ_BYTES) -> list[Record]:
        """The records from this offset on, in order: at least one where there is one, then up to the bytes."""

    def end(self, topic: Topic, partition: int) -> int:
        """The offset that the partition's next record will get; 0 where it is empty."""

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


def seek_cause(log: Log, topic: Topic, partition: int, cause_offset: int) -> int:
    """The offset of the first derived record that was caused at or after this offset of ``tally.events``.

    Derived records stand in the order of their causes, so it is found by halving.
    """
    low, high = 0, log.end(topic, partition)
    while low < high:
        middle = (low + high) // 2
        found = log.read(topic, partition, middle, max_bytes=1)
        if found and int(found[0].headers["cause_offset"]) < cause_offset:
            low = middle + 1
        else:
            high = middle
    return low


def folded(log: Log, partition: int, topic: Topic = ENTRIES) -> int:
    """The next offset of ``tally.events`` after the last that caused a record of this derived topic; on
    ``tally.entries`` every record causes one, so that is how far the folds have come."""
    last = log.last(topic, partition)
    return int(last.headers["cause_offset"]) + 1 if last else 0
