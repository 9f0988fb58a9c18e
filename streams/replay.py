"""Replay records in memory: everything that follows from them, by the same chain and without a runtime."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from ledger.errors import TallyError
from ledger.log import Record
from ledger.log.topics import ENTRIES, Topic
from streams.folds.chain import Derived, fold_record
from streams.folds.documents import Document, open_document
from streams.folds.entry import Documents, History, Originals
from streams.folds.event import parse_record
from streams.folds.identity import Identities
from streams.folds.state import State


def open_catalogues(documents: Mapping[str, bytes]) -> Documents:
    """Return a lookup of what these documents say, by hash."""

    @cache
    def catalogue(digest: str) -> Document:
        if digest not in documents:
            raise TallyError(f"the log names the document {digest} and does not hold it: restore tally.documents")
        return open_document(digest, documents[digest])

    return catalogue


def replay(records: Iterable[Record], documents: Mapping[str, bytes]) -> Derived:
    """Derive what the records of any partitions cause; each partition's records are in order, from its first."""
    catalogues = open_catalogues(documents)
    memories: dict[int, tuple[State, Identities]] = {}
    past_records: dict[int, dict[int, Record]] = {}
    derived: Derived = []
    next_offsets: dict[tuple[Topic, int], int] = {}
    for record in records:
        state, identities = memories.setdefault(record.partition, (State(), Identities()))
        past = past_records.setdefault(record.partition, {})
        past[record.offset] = record
        readers = _read_lines(past), _read_history(past)
        for topic, record_out in fold_record(parse_record(record), state, identities, catalogues, *readers):
            offset = next_offsets.get((topic, record.partition), 0)
            next_offsets[topic, record.partition] = offset + 1
            derived.append((topic, record_out._replace(offset=offset)))
        state.take_changes()
    return derived


def _read_lines(past: Mapping[int, Record]) -> Originals:
    """Return a reader of lines in records, by offset."""
    return lambda offset, event_index: past[offset].value.split(b"\n")[event_index]


def _read_history(past: Mapping[int, Record]) -> History:
    """Return a reader of ranges of records, by offset: of those that are replayed."""
    return lambda first, end: [parse_record(past[offset]) for offset in range(first, end) if offset in past]


def replay_outcomes(records: Iterable[Record], documents: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return the lines of ``tally.entries`` with the outcome of each event, and with what corrections change, in
    order."""
    lines = (
        msgspec.json.decode(line)
        for topic, record in replay(records, documents)
        if topic is ENTRIES
        for line in record.value.split(b"\n")
    )
    return [line for line in lines if line["outcome"] != "record"]
