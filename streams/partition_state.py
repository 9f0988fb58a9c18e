"""What the folds remember of partitions: rows, identities and positions, in the tables of a SQLite file.

The embedded runtime keeps them beside what it derives; on Kafka they are a cache of the topic of rows.
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

VARIABLES = 10_000  # SQLite takes 32,766 in a statement

_TABLES = """
CREATE TABLE IF NOT EXISTS rows (partition INTEGER, key TEXT, value TEXT, due_us INTEGER,
    PRIMARY KEY (partition, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rows_due ON rows (partition, due_us) WHERE due_us IS NOT NULL;
CREATE TABLE IF NOT EXISTS identities (partition INTEGER, identity BLOB, content BLOB, offset INTEGER, at INTEGER,
    PRIMARY KEY (partition, identity)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (partition INTEGER PRIMARY KEY, next_offset INTEGER, digest TEXT);
"""
_DUE = f"""
SELECT due_us, key FROM rows WHERE partition = ? AND due_us > ? AND due_us <= ifnull(
    (SELECT due_us FROM rows WHERE partition = ? AND due_us > ? ORDER BY due_us LIMIT 1 OFFSET ?), {LAST})
ORDER BY due_us
"""


class Reached(NamedTuple):
    """How far a partition is folded: the offset that comes next, and the digest of the record before it."""

    next_offset: int
    digest: str

    def resumed(self, log: Log, partition: int) -> int:
        """Where to go on. LogDamaged where the log no longer holds what was folded."""
        last = log.read(EVENTS, partition, self.next_offset - 1, max_bytes=1)
        if not last or last[0].offset != self.next_offset - 1 or last[0].digest() != self.digest:
            raise LogDamaged(
                f"partition {partition} of tally.events was folded up to offset {self.next_offset - 1}, and the log no "
                "longer holds that record as it was: restore the log from a newer copy, or derive everything again "
                "from the log as it is (`tally rebuild`)"
            )
        return self.next_offset


class Change(NamedTuple):
    """What a run of records changes in the memory of its partition."""

    reached: Reached | None  # None where it is a part of what was changed
    rows: Mapping[Key, Row | None]
    taken: Mapping[bytes, FirstSeen]


class PartitionState:
    """Not safe for processes: who writes holds the file alone."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        with tables.answering(db):
            for statement in _TABLES.split(";"):
                db.execute(statement)

    def reached(self, partition: int) -> Reached | None:
        """None where nothing was folded yet."""
        with tables.answering(self._db):
            stored = self._db.execute(
                "SELECT next_offset, digest FROM positions WHERE partition = ?", (partition,)
            ).fetchone()
        return Reached(*stored) if stored else None

    def open_state(self, partition: int) -> State:
        def load(key: Key) -> Row | None:
            try:
                found = self._db.execute(
                    "SELECT value, due_us FROM rows WHERE partition = ? AND key = ?",
                    (partition, key_text(key)),
                ).fetchone()
            except sqlite3.Error as error:
                raise _damaged(error) from error
            return Row(json.loads(found[0]), found[1]) if found else None

        def due(after_us: int, soonest: int) -> list[tuple[int, Key]]:
            try:
                found = self._db.execute(_DUE, (partition, after_us, partition, after_us, soonest - 1)).fetchall()
            except sqlite3.Error as error:
                raise _damaged(error) from error
            return [(at, tuple(json.loads(key))) for at, key in found]

        return State(load, due)

    def known(self, partition: int, identities: Iterable[bytes]) -> dict[bytes, FirstSeen]:
        """Those of the identities that were taken before in this partition."""
        asked = list(identities)
        taken: dict[bytes, FirstSeen] = {}
        for start in range(0, len(asked), VARIABLES):
            some = asked[start : start + VARIABLES]
            marks = ",".join("?" * len(some))
            with tables.answering(self._db):
                found = self._db.execute(
                    "SELECT identity, content, offset, at FROM identities"
                    f" WHERE partition = ? AND identity IN ({marks})",
                    [partition, *some],
                )
                taken.update((identity, FirstSeen(*first)) for identity, *first in found)
        return taken

    def fold(self, records: list[Record], rows: State, documents: Documents) -> tuple[Derived, Reached, Change]:
        """What follows from a run of one partition's records, how far it goes, and what to remember of it."""
        partition = records[0].partition
        parsed = [parse_record(record) for record in records]
        identities = {event.identity for _, events in parsed for event in events if event.identity}
        before = self.known(partition, identities)
        known = dict(before)
        derived = [said for one in parsed for said in fold_record(one, rows, known, documents)]
        taken = {identity: first for identity, first in known.items() if identity not in before}
        last = records[-1]
        reached = Reached(last.offset + 1, last.digest())
        return derived, reached, Change(reached, rows.take_changes(), taken)

    def apply(self, partition: int, change: Change) -> None:
        """Remember it, in the caller's transaction. What it takes anew may be taken already: then it is the same."""
        gone = [(partition, key_text(key)) for key, row in change.rows.items() if row is None]
        put = [
            (partition, key_text(key), msgspec.json.encode(row.value).decode(), row.due_us)
            for key, row in change.rows.items()
            if row is not None
        ]
        self._db.executemany("DELETE FROM rows WHERE partition = ? AND key = ?", gone)
        self._db.executemany("REPLACE INTO rows VALUES (?, ?, ?, ?)", put)
        self._db.executemany(
            "REPLACE INTO identities VALUES (?, ?, ?, ?, ?)",
            [(partition, one, *first) for one, first in change.taken.items()],
        )
        if change.reached is not None:
            self._db.execute("REPLACE INTO positions VALUES (?, ?, ?)", (partition, *change.reached))


def _damaged(error: sqlite3.Error) -> TallyError:
    return TallyError(f"the folds' rows cannot be read: {error}; `tally rebuild` derives them again from the log")
