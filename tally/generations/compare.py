"""Two generations of what is derived, held against each other record by record."""

import sqlite3
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from ledger.errors import TallyError
from ledger.log import PARTITIONS, Log, Record, fold_offset, records
from ledger.log.topics import DERIVED, Topic


class Differences(NamedTuple):
    """Of so many records that both should have, ``differing`` are not the same; the first one in a sentence.
    ``unreadable`` says why the old generation, or what follows in it, could not be read."""

    compared: int
    differing: int
    first: str | None
    unreadable: str | None

    @property
    def are_equal(self) -> bool:
        return not self.differing and self.unreadable is None


def compare(old: Log, new: Log) -> Differences:
    """All that both derived, from what both had folded."""
    compared = differing = 0
    first = unreadable = None
    try:
        ends = [min(fold_offset(old, partition), fold_offset(new, partition)) for partition in range(PARTITIONS)]
        for topic, partition in product(DERIVED, range(PARTITIONS)):
            for before, after in _pairs(*(_read_caused(log, topic, partition, ends[partition]) for log in (old, new))):
                compared += 1
                if _digest(before) != _digest(after):
                    differing += 1
                    first = first or _describe_difference(topic, before, after)
    except (sqlite3.Error, TallyError, KeyError, ValueError) as error:  # it may have been altered
        unreadable = f"{type(error).__name__}: {error}"
    return Differences(compared, differing, first, unreadable)


def _read_caused(log: Log, topic: Topic, partition: int, end: int) -> Iterator[Record]:
    """The records of a derived topic that were caused before this offset."""
    for record in records(log, topic, partition):
        if _cause(record) >= end:
            return
        yield record


def _pairs(
    old: Iterator[Record], new: Iterator[Record]
) -> Iterator[tuple[Record, None] | tuple[None, Record] | tuple[Record, Record]]:
    """What the same record caused in both; None stands for nothing."""
    before, after = next(old, None), next(new, None)
    while before is not None or after is not None:
        if after is None or (before is not None and _cause(before) < _cause(after)):
            assert before is not None, "one of them is there"
            yield before, None
            before = next(old, None)
        elif before is None or _cause(after) < _cause(before):
            yield None, after
            after = next(new, None)
        else:
            yield before, after
            before, after = next(old, None), next(new, None)


def _cause(record: Record) -> int:
    return record.cause_offset


def _digest(record: Record | None) -> str | None:
    """All of it but its own offset: on Kafka, transactions take offsets too."""
    return record._replace(offset=0).digest() if record else None


def _describe_difference(topic: Topic, before: Record | None, after: Record | None) -> str:
    record = after or before
    assert record is not None, "one of them is there"
    subject = f"what follows from {record.partition}:{_cause(record)} on {topic.name}"
    if before is None:
        return f"{subject} was not there before"
    if after is None:
        return f"{subject} is there no more"
    lines = zip(before.value.split(b"\n"), after.value.split(b"\n"), strict=False)
    old_line, new_line = next((pair for pair in lines if pair[0] != pair[1]), (before.value, after.value))
    return f"{subject} was {old_line[:500].decode(errors='replace')} and is {new_line[:500].decode(errors='replace')}"
