"""A copy of a partition's folds in temporary files: the log is folded again, so an answer is that of the folds, on
either log, and nothing is written."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ledger import outcomes
from ledger.log import Draft, Log, Record
from ledger.log.sqlite.log import transaction
from ledger.log.topics import ENTRIES
from streams.folds.chain import Derived
from streams.folds.entry import Documents
from streams.folds.event import EPOCH, Event, hash_identity, parse_line
from streams.folds.state import State
from streams.partition_state import PartitionState, read_runs
from streams.runtime import build_tick, read_history, read_originals

_decode = msgspec.json.Decoder().decode
Line = dict[str, Any]


class PartitionCopy:
    """The folds of a partition up to the log's end, and of drafts that the log does not hold. Several copies may be in
    one database, and one that is opened again goes on from there."""

    def __init__(self, db: sqlite3.Connection, log: Log, partition: int, documents: Documents) -> None:
        self._stored, self._db, self._log, self._partition = PartitionState(db), db, log, partition
        self._state = self._stored.open_state(partition)
        self._documents = documents
        self._readers = read_originals(log, partition), read_history(log, partition)
        position = self._stored.position(partition)
        self._next_offset = 0 if position is None else position.next_offset

    @property
    def state(self) -> State:
        """Return the folds' state behind what was folded."""
        return self._state

    @property
    def next_position(self) -> tuple[int, int]:
        """Return the offset and event index that come next."""
        return self._next_offset, 0

    def fold(self, end: int) -> Iterator[tuple[int, Derived]]:
        """Fold the log on, up to an offset: yield how many records, and what they cause."""
        for run in read_runs(self._log, self._partition, end, self._next_offset):
            yield len(run), self._fold_batch(run)

    def peek(self, record: Record) -> State:
        """Return the state that a record would leave behind. The copy stays as it is."""
        originals, history = self._readers
        state = self._stored.open_state(self._partition)
        self._stored.fold_batch(self._stored.parse_batch([record], history), state, self._documents, originals)
        return state

    def find_event(self, organization: str, source: str, id: str) -> Event | None:
        """Return the event that has taken an identity; None where none has."""
        versions = self._stored.find_identities(self._partition, [hash_identity(organization, source, id)])
        position = next((version.position for version in versions.values()), None)
        if position is None:
            return None
        return parse_line(position[1], self._readers[0](*position), organization)

    def append(self, draft: Draft) -> Derived:
        """Fold a draft as the next record, and return what it causes."""
        return self._append(draft, datetime.now(UTC))

    def pass_time(self, duration: timedelta) -> Derived:
        """Fold a tick of a time so long after now, and return what falls due until then."""
        time = datetime.now(UTC) + duration
        due_us = (time - EPOCH) // timedelta(microseconds=1)
        return self._append(build_tick(self._partition, self._next_offset, due_us), time)

    def restate(self, draft: Draft) -> Iterator[tuple[Line, Line]]:
        """Fold a restatement as the next record: yield the reversal of each entry that it changes, and the entry in its
        place."""
        former: Line = {}
        for line in read_entries(self.append(draft)):
            if line["outcome"] == outcomes.REVERSAL:
                former = line
            elif line["outcome"] == outcomes.RESTATEMENT:
                yield former, line

    def _append(self, draft: Draft, time: datetime) -> Derived:
        time_ms = int(time.timestamp() * 1000)
        return self._fold_batch([Record(self._partition, self._next_offset, time_ms, *draft[1:])])

    def _fold_batch(self, batch: list[Record]) -> Derived:
        originals, history = self._readers
        parsed = self._stored.parse_batch(batch, history)
        derived, _, change = self._stored.fold_batch(parsed, self._state, self._documents, originals)
        with transaction(self._db):
            self._stored.apply(self._partition, change)
        self._next_offset = batch[-1].offset + 1
        return derived


def read_entries(derived: Derived) -> Iterator[Line]:
    """Yield the lines of ``tally.entries`` among what records cause."""
    for topic, record in derived:
        if topic is ENTRIES:
            yield from map(_decode, record.value.split(b"\n"))
