"""The folds run again over one log, and what follows held against what another log has derived."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

from ledger.log import PARTITIONS, Log, Record, folded, records
from ledger.log.sqlite.log import transaction
from ledger.log.topics import DERIVED, EVENTS, Topic
from streams.partition_state import PartitionState
from streams.runtime import read_catalogues


class Refolded(NamedTuple):
    """``records`` of the derived topics were compared: what follows from ``folded`` records of ``tally.events``."""

    records: int
    folded: int
    difference: str | None


def refold(derived: Log, log: Log, progress: Callable[[int], None] = lambda count: None) -> Refolded:
    """Fold ``log`` as far as ``derived`` was folded, and compare every record, a partition at a time. What the folds
    remember is kept in a temporary file of SQLite's, so memory stays what it is."""
    count = reached = 0
    books = read_catalogues(log)
    for partition in range(PARTITIONS):
        end = folded(derived, partition)
        there = {topic: records(derived, topic, partition) for topic in DERIVED}
        with closing(sqlite3.connect("", isolation_level=None)) as memory:
            state = PartitionState(memory)
            rows = state.open_state(partition)
            offset = 0
            while offset < end:
                some = [one for one in log.read(EVENTS, partition, offset) if one.offset < end]
                said, position, change = state.fold_records(some, rows, books)
                with transaction(memory):
                    state.apply(partition, change)
                for topic, record in said:
                    found = next(there[topic], None)
                    if found is None or _content(found) != _content(record):
                        return Refolded(count, reached, _difference(topic, record, found))
                    count += 1
                offset = position.next_offset
                reached += len(some)
                progress(len(some))
        for topic, rest in there.items():
            if (more := _caused_before(rest, end)) is not None:
                return Refolded(count, reached, _difference(topic, more, more))
    return Refolded(count, reached, None)


def _content(record: Record) -> str:
    """Its digest without the offset: on Kafka, transactions take offsets too."""
    return record._replace(offset=0).digest()


def _caused_before(rest: Iterator[Record], end: int) -> Record | None:
    more = next(rest, None)
    return more if more is not None and int(more.headers["cause_offset"]) < end else None


def _difference(topic: Topic, record: Record, found: Record | None) -> str:
    cause = f"{record.headers['cause_partition']}:{record.headers['cause_offset']}"
    if found is None:
        return f"{topic.name} lacks what follows from {cause}"
    if found is record:
        return f"{topic.name} has a record too many for {cause}"
    return f"{topic.name} has another record than what follows from {cause}"
