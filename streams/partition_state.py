"""The state of partitions in the tables of a SQLite file: the folds' rows, identities and positions.

The embedded runtime keeps them beside what it derives; on Kafka they are a cache of the topic ``tally.state``.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from ledger.errors import LogDamaged, TallyError
from ledger.log import Log, Record
from ledger.log.sqlite import tables
from ledger.log.topics import EVENTS
from streams.folds.chain import Derived, fold_record
from streams.folds.entry import Documents
from streams.folds.event import parse_record
from streams.folds.identity import FirstSeen
from streams.folds.state import LAST, Key, Row, State, key_text

MAX_SQL_VARIABLES = 10_000  # SQLite takes 32,766 in a statement

_TABLES = """
CREATE TABLE IF NOT EXISTS state (partition INTEGER, key TEXT, value TEXT, due_us INTEGER,
    PRIMARY KEY (partition, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS state_due ON state (partition, due_us) WHERE due_us IS NOT NULL;
CREATE TABLE IF NOT EXISTS identities (partition INTEGER, identity BLOB, content BLOB, offset INTEGER,
    event_index INTEGER, PRIMARY KEY (partition, identity)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (partition INTEGER PRIMARY KEY, next_offset INTEGER, digest TEXT);
"""
_DUE = f"""
SELECT due_us, key FROM state WHERE partition = ? AND due_us > ? AND due_us <= ifnull(
    (SELECT due_us FROM state WHERE partition = ? AND due_us > ? ORDER BY due_us LIMIT 1 OFFSET ?), {LAST})
ORDER BY due_us
"""


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
    identities: Mapping[bytes, FirstSeen]


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

    def find_identities(self, partition: int, identities: Iterable[bytes]) -> dict[bytes, FirstSeen]:
        """Return those of the identities that were taken before in this partition."""
        pending = list(identities)
        first_seen: dict[bytes, FirstSeen] = {}
        for start in range(0, len(pending), MAX_SQL_VARIABLES):
            chunk = pending[start : start + MAX_SQL_VARIABLES]
            marks = ",".join("?" * len(chunk))
            with tables.database_errors(self._db):
                rows = self._db.execute(
                    "SELECT identity, content, offset, event_index FROM identities "
                    f"WHERE partition = ? AND identity IN ({marks})",
                    [partition, *chunk],
                )
                first_seen.update((identity, FirstSeen(*values)) for identity, *values in rows)
        return first_seen

    def fold_records(
        self, records: list[Record], state: State, documents: Documents
    ) -> tuple[Derived, FoldPosition, Change]:
        """Fold a run of one partition's records: return what they cause, the position behind them, and the changes."""
        partition = records[0].partition
        parsed = [parse_record(record) for record in records]
        batch_identities = {event.identity for _, events in parsed for event in events if event.identity}
        known_identities = self.find_identities(partition, batch_identities)
        identities = dict(known_identities)
        derived = [
            output for parsed_record in parsed for output in fold_record(parsed_record, state, identities, documents)
        ]
        new_identities = {identity: first for identity, first in identities.items() if identity not in known_identities}
        last = records[-1]
        position = FoldPosition(last.offset + 1, last.digest())
        return derived, position, Change(position, state.take_changes(), new_identities)

    def apply(self, partition: int, change: Change) -> None:
        """Store a change, in the caller's transaction. An identity that is stored already is the same one."""
        deletions = [(partition, key_text(key)) for key, row in change.rows.items() if row is None]
        replacements = [
            (partition, key_text(key), msgspec.json.encode(row.value).decode(), row.due_us)
            for key, row in change.rows.items()
            if row is not None
        ]
        self._db.executemany("DELETE FROM state WHERE partition = ? AND key = ?", deletions)
        self._db.executemany("REPLACE INTO state VALUES (?, ?, ?, ?)", replacements)
        self._db.executemany(
            "REPLACE INTO identities VALUES (?, ?, ?, ?, ?)",
            [(partition, identity, *first_seen) for identity, first_seen in change.identities.items()],
        )
        if change.position is not None:
            self._db.execute("REPLACE INTO positions VALUES (?, ?, ?)", (partition, *change.position))


def _state_error(error: sqlite3.Error) -> TallyError:
    return TallyError(f"the folds' state cannot be read: {error}; `tally rebuild` derives them again from the log")
