"""Replay records in memory: everything that follows from them, by the same chain and without a runtime."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from ledger.errors import TallyError
from ledger.log import Record
from ledger.log.topics import ENTRIES, Topic
from ledger.pricing.contract import unpack_document
from streams.folds.chain import Derived, fold_record
from streams.folds.contracts.terms import ContractTerms, compile_document
from streams.folds.entry import Documents, Originals
from streams.folds.event import parse_record
from streams.folds.identity import EventVersion
from streams.folds.price_lookup import Catalogue
from streams.folds.state import State


def open_catalogues(documents: Mapping[str, bytes]) -> Documents:
    """Return a lookup of the price books and contracts in these documents, by hash."""

    @cache
    def catalogue(digest: str) -> Catalogue | ContractTerms:
        if digest not in documents:
            raise TallyError(f"the log names the document {digest} and does not hold it: restore tally.documents")
        return compile_document(digest, unpack_document(digest, documents[digest]))

    return catalogue


def replay(records: Iterable[Record], documents: Mapping[str, bytes]) -> Derived:
    """Derive what the records of any partitions cause; each partition's records are in order, from its first."""
    catalogues = open_catalogues(documents)
    memories: dict[int, tuple[State, dict[bytes, EventVersion]]] = {}
    read_values: dict[int, dict[int, bytes]] = {}
    derived: Derived = []
    next_offsets: dict[tuple[Topic, int], int] = {}
    for record in records:
        state, identities = memories.setdefault(record.partition, (State(), {}))
        values = read_values.setdefault(record.partition, {})
        values[record.offset] = record.value
        for topic, record_out in fold_record(parse_record(record), state, identities, catalogues, _read_lines(values)):
            offset = next_offsets.get((topic, record.partition), 0)
            next_offsets[topic, record.partition] = offset + 1
            derived.append((topic, record_out._replace(offset=offset)))
        state.take_changes()
    return derived


def _read_lines(values: Mapping[int, bytes]) -> Originals:
    """Return a reader of lines in the values of records, by offset."""
    return lambda offset, event_index: values[offset].split(b"\n")[event_index]


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
