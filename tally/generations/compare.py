"""Compare the derived records of two generations."""

import sqlite3
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from ledger.errors import TallyError
from ledger.log import PARTITIONS, Log, Record, fold_offset, records
from ledger.log.topics import DERIVED, Topic


class Differences(NamedTuple):
    """The number of records that both generations should have, the number that differ, and the first difference in a
    sentence. ``unreadable`` is the reason why the old generation could not be read to its end."""

    compared: int
    differing: int
    first: str | None
    unreadable: str | None

    @property
    def are_equal(self) -> bool:
        return not self.differing and self.unreadable is None


def compare(old: Log, new: Log) -> Differences:
    """Compare all records that both generations derived from the offsets that both had folded."""
    compared = differing = 0
    first = unreadable = None
    try:
        ends = [min(fold_offset(old, partition), fold_offset(new, partition)) for partition in range(PARTITIONS)]
        for topic, partition in product(DERIVED, range(PARTITIONS)):
            for before, after in _pairs(*(_read_caused(log, topic, partition, ends[partition]) for log in (old, new))):
                compared += 1
                if before is None or after is None or before.derived_digest() != after.derived_digest():
                    differing += 1
                    first = first or _describe_difference(topic, before, after)
    except (sqlite3.Error, TallyError, KeyError, ValueError) as error:  # it may have been altered
        unreadable = f"{type(error).__name__}: {error}"
    return Differences(compared, differing, first, unreadable)


def _read_caused(log: Log, topic: Topic, partition: int, end: int) -> Iterator[Record]:
    """Yield the records of a derived topic whose cause is before this offset."""
    for record in records(log, topic, partition):
        if record.cause_offset >= end:
            return
        yield record


def _pairs(
    old: Iterator[Record], new: Iterator[Record]
) -> Iterator[tuple[Record, None] | tuple[None, Record] | tuple[Record, Record]]:
    """Pair the records with the same cause; None where one generation has none."""
    before, after = next(old, None), next(new, None)
    while before is not None or after is not None:
        if after is None or (before is not None and before.cause_offset < after.cause_offset):
            assert before is not None, "one of them is there"
            yield before, None
            before = next(old, None)
        elif before is None or after.cause_offset < before.cause_offset:
            yield None, after
            after = next(new, None)
        else:
            yield before, after
            before, after = next(old, None), next(new, None)


def _describe_difference(topic: Topic, before: Record | None, after: Record | None) -> str:
    record = after or before
    assert record is not None, "one of them is there"
    subject = f"the record that {topic.name} derives from {record.partition}:{record.cause_offset}"
    if before is None:
        return f"{subject} is new"
    if after is None:
        return f"{subject} is missing"
    lines = zip(before.value.split(b"\n"), after.value.split(b"\n"), strict=False)
    old_line, new_line = next((pair for pair in lines if pair[0] != pair[1]), (before.value, after.value))
    return f"{subject} was {old_line[:500].decode(errors='replace')} and is {new_line[:500].decode(errors='replace')}"
