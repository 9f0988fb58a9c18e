"""Fold one log again, and compare the result with what was derived from another log."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

from ledger import envelope
from ledger.log import PARTITIONS, Log, Record, fold_offset, records
from ledger.log.topics import DERIVED, Topic
from streams.runtime import read_catalogues
from tally.log.partition_copy import PartitionCopy


class Refolded(NamedTuple):
    """A comparison of ``records`` derived records, which follow from ``folded`` records of ``tally.events``."""

    records: int
    folded: int
    difference: str | None


def refold(derived: Log, log: Log, progress: Callable[[int], None] = lambda compared_count: None) -> Refolded:
    """Fold ``log`` as far as ``derived`` was folded, and compare every record, a partition at a time. State is kept
    in a temporary SQLite file, so memory is bounded."""
    compared_count = input_count = 0
    books = read_catalogues(log)
    for partition in range(PARTITIONS):
        end = fold_offset(derived, partition)
        expected = {topic: records(derived, topic, partition) for topic in DERIVED}
        with closing(sqlite3.connect("", isolation_level=None)) as memory:
            for record_count, outputs in PartitionCopy(memory, log, partition, books).fold(end):
                for topic, record in outputs:
                    existing = next(expected[topic], None)
                    if existing is None or existing.derived_digest() != record.derived_digest():
                        return Refolded(compared_count, input_count, _describe_difference(topic, record, existing))
                    compared_count += 1
                input_count += record_count
                progress(record_count)
        for topic, remaining in expected.items():
            if (extra := _find_caused_before(remaining, end)) is not None:
                return Refolded(compared_count, input_count, _describe_difference(topic, extra, extra))
    return Refolded(compared_count, input_count, None)


def _find_caused_before(remaining: Iterator[Record], end: int) -> Record | None:
    record = next(remaining, None)
    return record if record is not None and record.cause_offset < end else None


def _describe_difference(topic: Topic, record: Record, existing: Record | None) -> str:
    cause = f"{record.headers[envelope.CAUSE_PARTITION]}:{record.headers[envelope.CAUSE_OFFSET]}"
    if existing is None:
        return f"{topic.name} has no record for {cause}"
    if existing is record:
        return f"{topic.name} has an extra record for {cause}"
    return f"{topic.name} has a different record for {cause}"
