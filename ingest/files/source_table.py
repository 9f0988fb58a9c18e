"""A table of a source's events, on the log and in files, in a temporary file of SQLite's: memory does not grow."""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

Position = tuple[int, int]
"""Offset and event index in the partition."""

_TABLES = """
CREATE TABLE logged (id TEXT PRIMARY KEY, offset INTEGER, event_index INTEGER, entry_offset INTEGER,
    entry_index INTEGER, is_held INTEGER, is_own INTEGER, is_reversed INTEGER, digest BLOB, revision INTEGER);
CREATE INDEX logged_event ON logged (offset, event_index);
CREATE INDEX logged_entry ON logged (entry_offset, entry_index);
CREATE TABLE staged (id TEXT PRIMARY KEY, digest BLOB, revision INTEGER, line BLOB)
"""
_IS_KEPT = "(staged.digest = logged.digest AND NOT logged.is_reversed AND logged.is_own)"
_COMPARE = f"""SELECT CASE WHEN logged.id IS NULL THEN 'added' WHEN {_IS_KEPT} THEN 'kept'
    WHEN logged.is_reversed THEN 'added' ELSE 'replaced' END AS change, staged.id, staged.line,
    CASE WHEN logged.id IS NOT NULL THEN max(logged.revision + 1, staged.revision) END AS revision
    FROM staged LEFT JOIN logged ON staged.id = logged.id ORDER BY staged.rowid"""
_REMOVED = """SELECT id, entry_offset, entry_index FROM logged WHERE entry_offset IS NOT NULL
    AND id NOT IN (SELECT id FROM staged) ORDER BY offset, event_index"""


class Counts(NamedTuple):
    """Events by what a replacement does with them. ``repeated``: lines of the files whose id other lines have too, with
    other content; of equal revisions the first counts."""

    kept: int
    replaced: int
    reversed: int
    added: int
    repeated: int

    @property
    def changes(self) -> int:
        return self.replaced + self.reversed + self.added


class Change(NamedTuple):
    """An event to append: a line of the files, with another revision unless that is None; without a line a reversal of
    the entry at a position."""

    id: str
    line: bytes | None
    revision: int | None = None
    entry: Position | None = None


class SourceTable:
    """The events of one source. Those of the log are entered in its order."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA cache_size=-16384")
        self._db.execute("PRAGMA journal_mode=OFF")
        for statement in _TABLES.split(";"):
            self._db.execute(statement)
        self._db.execute("BEGIN")
        self._repeated = 0

    def close(self) -> None:
        self._db.close()

    def stage(self, id: str, digest: bytes, revision: int, line: bytes) -> None:
        """Add an event of the files. Of one id the greatest revision counts, and of equal ones the first."""
        row = self._db.execute("SELECT digest, revision FROM staged WHERE id = ?", (id,)).fetchone()
        if row is None:
            self._db.execute("INSERT INTO staged VALUES (?, ?, ?, ?)", (id, digest, revision, line))
        elif revision > row[1]:
            statement = "UPDATE staged SET digest = ?, revision = ?, line = ? WHERE id = ?"
            self._db.execute(statement, (digest, revision, line, id))
        elif revision == row[1] and digest != row[0]:
            self._repeated += 1

    def enter(self, id: str, position: Position, has_entry: bool, is_held: bool = False) -> None:
        """Enter a version of an event of the log; it takes the place of the one before. A held one has an entry to
        come."""
        entry = position if has_entry or is_held else (None, None)
        statement = "REPLACE INTO logged VALUES (?, ?, ?, ?, ?, ?, 1, 0, NULL, 0)"
        self._db.execute(statement, (id, *position, *entry, is_held))

    def reverse(self, entry: Position) -> None:
        """Take an entry back, if one of these events has it."""
        statement = (
            "UPDATE logged SET entry_offset = NULL, entry_index = NULL, is_reversed = 1"
            " WHERE entry_offset = ? AND entry_index = ?"
        )
        self._db.execute(statement, entry)

    def replace(self, event: Position, entry: Position, is_own: bool) -> None:
        """Put an entry in force for an event: its own, which stands elsewhere, or that of a correction."""
        statement = (
            "UPDATE logged SET entry_offset = ?, entry_index = ?, is_own = ?, is_held = 0, is_reversed = 0"
            " WHERE offset = ? AND event_index = ?"
        )
        self._db.execute(statement, (*entry, is_own, *event))

    def reverse_held(self, id: str, correction: Position) -> None:
        """Reverse an event that is held still, and stands before its correction: no entry is taken back by it."""
        statement = (
            "UPDATE logged SET entry_offset = NULL, entry_index = NULL, is_reversed = 1"
            " WHERE id = ? AND is_held AND (offset, event_index) < (?, ?)"
        )
        self._db.execute(statement, (id, *correction))

    def has_events(self) -> bool:
        """Tell whether the log has an event of the source."""
        return self._db.execute("SELECT 1 FROM logged LIMIT 1").fetchone() is not None

    def list_events(self, offset: int) -> list[tuple[str, int]]:
        """List id and event index of the events of the log in a record."""
        return self._db.execute("SELECT id, event_index FROM logged WHERE offset = ?", (offset,)).fetchall()

    def describe(self, id: str, digest: bytes, revision: int) -> None:
        """Add the content of an event of the log."""
        self._db.execute("UPDATE logged SET digest = ?, revision = ? WHERE id = ?", (digest, revision, id))

    def count(self) -> Counts:
        """Count the events by what becomes of them."""
        rows = self._db.execute(f"SELECT change, count(*) FROM ({_COMPARE}) GROUP BY change").fetchall()
        counts: dict[str, int] = {"kept": 0, "replaced": 0, "added": 0, **dict(rows)}
        (removed,) = self._db.execute(f"SELECT count(*) FROM ({_REMOVED})").fetchone()
        return Counts(**counts, reversed=removed, repeated=self._repeated)

    def list_changes(self) -> Iterator[Change]:
        """Yield what is to be appended: the events of the files in their order, then the reversals."""
        for change, id, line, revision in self._db.execute(_COMPARE):
            if change != "kept":
                yield Change(id, line, revision)
        for id, *entry in self._db.execute(_REMOVED):
            yield Change(id, None, None, (entry[0], entry[1]))
