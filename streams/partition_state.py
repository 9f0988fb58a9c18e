"""The state of partitions in the tables of a SQLite file: the folds' rows, identities and positions.

The embedded runtime keeps them beside what it derives; on Kafka they are a cache of the topic ``tally.state``.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from ledger.errors import LogDamaged, TallyError
from ledger.log import Log, Record
from ledger.log.sqlite import tables
from ledger.log.topics import EVENTS
from ledger.organizations import PLATFORM
from streams.folds.amendments.corrections import HELD_ROWS
from streams.folds.amendments.restatement import find_range, read_no_history
from streams.folds.chain import Derived, fold_record
from streams.folds.entry import Documents, Originals
from streams.folds.event import ParsedRecord, parse_record
from streams.folds.identity import EventPosition, EventVersion, Identities, find_target
from streams.folds.state import LAST, Key, Row, State, key_text
from tallystick.vocabulary.controls.prices import PriceRestated

_RESTATEMENT = PriceRestated.control_type.encode()
MAX_SPLIT_RECORDS = 4
"""Records of a run whose lines are kept apart: a restatement reads those of one record in a row."""
MAX_SQL_VARIABLES = 10_000  # SQLite takes 32,766 in a statement

_TABLES = """
CREATE TABLE IF NOT EXISTS state (partition INTEGER, key TEXT, value TEXT, due_us INTEGER,
    PRIMARY KEY (partition, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS state_due ON state (partition, due_us) WHERE due_us IS NOT NULL;
CREATE TABLE IF NOT EXISTS identities (partition INTEGER, identity BLOB, content BLOB, offset INTEGER,
    event_index INTEGER, revision INTEGER, status INTEGER, entry_offset INTEGER, entry_index INTEGER,
    anchor_offset INTEGER, anchor_index INTEGER, rated_offset INTEGER, rated_index INTEGER,
    PRIMARY KEY (partition, identity)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (partition INTEGER PRIMARY KEY, next_offset INTEGER, digest TEXT);
"""
_DUE = f"""
SELECT due_us, key FROM state WHERE partition = ? AND due_us > ? AND due_us <= ifnull(
    (SELECT due_us FROM state WHERE partition = ? AND due_us > ? ORDER BY due_us LIMIT 1 OFFSET ?), {LAST})
ORDER BY due_us
"""


ReadRecords = Callable[[int, int], Iterable[Record]]
"""The records of ``tally.events`` from an offset of the partition up to another. LogDamaged where the log does not hold
one."""


class FoldPosition(NamedTuple):
    """The position of a partition's folds: the offset that comes next, and the digest of the record before it."""

    next_offset: int
    digest: str

    def find_resume_offset(self, log: Log, partition: int) -> int:
        """Return the offset at which to resume. LogDamaged where the log no longer holds what was folded."""
        records = log.read(EVENTS, partition, self.next_offset - 1, max_bytes=1)
        if not records or records[0].offset != self.next_offset - 1 or records[0].digest() != self.digest:
            raise LogDamaged(
                f"partition {partition} of tally.events was folded up to offset {self.next_offset - 1}, and the log no "
                "longer holds that record as it was: restore the log from a newer copy, or derive everything again "
                "from the log as it is (`tally rebuild`)"
            )
        return self.next_offset


class Change(NamedTuple):
    """The changes of a run of records to the state of its partition."""

    position: FoldPosition | None  # None of a part of the changes
    rows: Mapping[Key, Row | None]
    identities: Mapping[bytes, EventVersion]


def has_restatement(record: Record) -> bool:
    """Tell whether a record may hold a restatement. It costs one search of its bytes."""
    return record.organization == PLATFORM and _RESTATEMENT in record.value


def split_runs(records: list[Record]) -> Iterator[list[Record]]:
    """Split records in a row into runs that hold at most one record with restatements each, as the last: what such a
    record reaches is held in memory while its run is folded."""
    start = 0
    for index, record in enumerate(records, 1):
        if has_restatement(record):
            yield records[start:index]
            start = index
    if start < len(records):
        yield records[start:]


def read_runs(log: Log, partition: int, end: int, start: int = 0) -> Iterator[list[Record]]:
    """Yield the records of a partition from an offset up to another, in runs."""
    offset = start
    while offset < end:
        records = [record for record in log.read(EVENTS, partition, offset) if record.offset < end]
        yield from split_runs(records)
        offset = records[-1].offset + 1


class Batch(NamedTuple):
    """A run of one partition's records, parsed, with the identities that they meet, the positions of the events before
    it whose lines a correction may need, and the records before it that a restatement reaches."""

    records: list[Record]
    parsed: list[ParsedRecord]
    identities: Mapping[bytes, EventVersion]
    originals: list[EventPosition]
    past: Mapping[int, ParsedRecord] = MappingProxyType({})
    read_records: ReadRecords = read_no_history

    def include_own_lines(self, originals: Originals) -> Originals:
        """Return a reader of lines that finds those of this batch, and of the records before it, here."""
        start = self.records[0].offset

        @lru_cache(maxsize=MAX_SPLIT_RECORDS)
        def split_lines(offset: int) -> list[bytes]:
            record = self.records[offset - start] if offset >= start else self.past[offset].record
            return record.value.split(b"\n")

        def read(offset: int, event_index: int) -> bytes:
            if offset < start and offset not in self.past:
                return originals(offset, event_index)
            return split_lines(offset)[event_index]

        return read

    def read_history(self, first_offset: int, end_offset: int) -> list[ParsedRecord]:
        """Return the records of a range that a restatement reaches. Those that one of an earlier batch reaches, which
        fell due here, are read now."""
        start = self.records[0].offset
        past, before = self.past, range(first_offset, min(end_offset, start))
        if not all(offset in past for offset in before):
            past = {record.offset: parse_record(record) for record in self.read_records(before.start, before.stop)}
        offsets = range(first_offset, end_offset)
        return [self.parsed[offset - start] if offset >= start else past[offset] for offset in offsets]


class PartitionState:
    """Rows, identities and positions in an open database. One process writes, and holds the file alone."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        with tables.database_errors(db):
            for statement in _TABLES.split(";"):
                db.execute(statement)

    def position(self, partition: int) -> FoldPosition | None:
        """Return the position of a partition; None where nothing was folded yet."""
        with tables.database_errors(self._db):
            row = self._db.execute(
                "SELECT next_offset, digest FROM positions WHERE partition = ?", (partition,)
            ).fetchone()
        return FoldPosition(*row) if row else None

    def open_state(self, partition: int) -> State:
        """Return the state of a partition, read through from the database."""

        def load(key: Key) -> Row | None:
            try:
                row = self._db.execute(
                    "SELECT value, due_us FROM state WHERE partition = ? AND key = ?",
                    (partition, key_text(key)),
                ).fetchone()
            except sqlite3.Error as error:
                raise _state_error(error) from error
            return Row(json.loads(row[0]), row[1]) if row else None

        def due(after_us: int, soonest: int) -> list[tuple[int, Key]]:
            try:
                row = self._db.execute(_DUE, (partition, after_us, partition, after_us, soonest - 1)).fetchall()
            except sqlite3.Error as error:
                raise _state_error(error) from error
            return [(due_us, tuple(json.loads(key))) for due_us, key in row]

        return State(load, due)

    def find_identities(self, partition: int, identities: Iterable[bytes]) -> dict[bytes, EventVersion]:
        """Return those of the identities that were taken before in this partition."""
        pending = list(identities)
        versions: dict[bytes, EventVersion] = {}
        for start in range(0, len(pending), MAX_SQL_VARIABLES):
            chunk = pending[start : start + MAX_SQL_VARIABLES]
            marks = ",".join("?" * len(chunk))
            with tables.database_errors(self._db):
                rows = self._db.execute(
                    "SELECT identity, content, offset, event_index, revision, status, entry_offset, entry_index, "
                    "anchor_offset, anchor_index, rated_offset, rated_index "
                    f"FROM identities WHERE partition = ? AND identity IN ({marks})",
                    [partition, *chunk],
                )
                versions.update((identity, EventVersion(*values)) for identity, *values in rows)
        return versions

    def parse_batch(self, records: list[Record], read_records: ReadRecords = read_no_history) -> Batch:
        """Parse a run of one partition's records, and find the events before it that they refer to. ``read_records``
        gives the records of a range before it."""
        parsed = [parse_record(record) for record in records]
        events = [event for _, record_events in parsed for event in record_events]
        targets = {event.identity: target for event in events if (target := find_target(event)) is not None}
        past = _read_past(parsed, read_records)
        past_events = [(record.offset, event) for record, record_events in past.values() for event in record_events]
        batch_identities = {event.identity for event in events if event.identity} | set(targets.values())
        batch_identities |= {event.identity for _, event in past_events if event.kind == "inference"}
        versions = self.find_identities(records[0].partition, batch_identities)
        originals: set[EventPosition] = set(self._find_due(records))
        for event in events:
            version = versions.get(targets.get(event.identity, event.identity))
            if version is not None and version.content != event.content:
                originals.update(filter(None, (version.position, version.line_position)))
        for offset, event in past_events:
            version = versions.get(event.identity)
            if version is not None and version.position == (offset, event.event_index):
                originals.update(filter(None, (version.line_position,)))
        unread = sorted(position for position in originals if position[0] not in past)
        return Batch(records, parsed, versions, unread, past, read_records)

    def _find_due(self, records: list[Record]) -> Iterator[EventPosition]:
        """Yield the positions of held events that fall due with the records, the soonest: more are read one by one."""
        now_us = max(record.time_ms for record in records) * 1000
        with tables.database_errors(self._db):
            rows = self._db.execute(
                "SELECT key FROM state WHERE partition = ? AND due_us <= ? ORDER BY due_us LIMIT ?",
                (records[0].partition, now_us, MAX_SQL_VARIABLES),
            ).fetchall()
        for (text,) in rows:
            key = json.loads(text)
            if key[0] == HELD_ROWS:
                yield int(key[1]), int(key[2])

    def fold_batch(
        self, batch: Batch, state: State, documents: Documents, originals: Originals
    ) -> tuple[Derived, FoldPosition, Change]:
        """Fold a batch: return what it causes, the position behind it, and the changes. ``originals`` gives the lines
        before the batch."""
        partition = batch.records[0].partition
        identities = Identities(
            batch.identities, lambda identity: self.find_identities(partition, [identity]).get(identity)
        )
        read_line = batch.include_own_lines(originals)
        derived = [
            output
            for parsed_record in batch.parsed
            for output in fold_record(parsed_record, state, identities, documents, read_line, batch.read_history)
        ]
        last = batch.records[-1]
        position = FoldPosition(last.offset + 1, last.digest())
        return derived, position, Change(position, state.take_changes(), identities.list_changes())

    def apply(self, partition: int, change: Change) -> None:
        """Store a change, in the caller's transaction."""
        deletions = [(partition, key_text(key)) for key, row in change.rows.items() if row is None]
        replacements = [
            (partition, key_text(key), msgspec.json.encode(row.value).decode(), row.due_us)
            for key, row in change.rows.items()
            if row is not None
        ]
        self._db.executemany("DELETE FROM state WHERE partition = ? AND key = ?", deletions)
        self._db.executemany("REPLACE INTO state VALUES (?, ?, ?, ?)", replacements)
        self._db.executemany(
            "REPLACE INTO identities VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(partition, identity, *version) for identity, version in change.identities.items()],
        )
        if change.position is not None:
            self._db.execute("REPLACE INTO positions VALUES (?, ?, ?)", (partition, *change.position))


def find_ranges(parsed: Iterable[ParsedRecord]) -> list[tuple[int, int]]:
    """List the first offset and the end of each range that a restatement among these records reaches."""
    return [
        reached
        for record, events in parsed
        for event in events
        if (reached := find_range(event, record.offset)) is not None
    ]


def _read_past(parsed: list[ParsedRecord], read_records: ReadRecords) -> dict[int, ParsedRecord]:
    """Read the records before a run that its restatements reach, by offset."""
    start = parsed[0].record.offset
    past: dict[int, ParsedRecord] = {}
    for first_offset, end_offset in find_ranges(parsed):
        if first_offset < start:
            for record in read_records(first_offset, min(end_offset, start)):
                past[record.offset] = parse_record(record)
    return past


def _state_error(error: sqlite3.Error) -> TallyError:
    return TallyError(f"the folds' state cannot be read: {error}; `tally rebuild` derives them again from the log")
