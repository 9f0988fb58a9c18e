"""The known events of a partition: how the latest version of each identity stands."""

import hashlib
import sqlite3
from typing import NamedTuple

from audit.verify.contracts import Position

NO_ENTRY = (-1, -1)


class KnownEvent(NamedTuple):
    """An event that stands on the log: content and position of its latest version, its kind and revision, the line that
    the entry in force follows from, the place where that entry stands, and the position by whose prices it was rated
    last (-1 where there is none), and how the version stands: ``own``, ``held``, ``quarantined``, ``quarantined_ahead``
    (its time lay ahead of the log's), or ``corrected``."""

    content: bytes
    offset: int
    event_index: int
    kind: str
    revision: int
    entry_offset: int
    entry_index: int
    place_offset: int
    place_index: int
    rated_offset: int
    rated_index: int
    standing: str

    @property
    def position(self) -> Position:
        return self.offset, self.event_index

    @property
    def place(self) -> Position:
        return self.place_offset, self.place_index

    @property
    def rated_position(self) -> Position:
        return self.rated_offset, self.rated_index

    def with_entry(self, line: Position, place: Position, standing: str) -> "KnownEvent":
        """Return the event with another entry in force, which is rated at the place where it stands."""
        return KnownEvent(*self[:5], *line, *place, *place, standing)


class KnownEvents:
    """Known events by identity, in a database: memory does not grow with them."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute(
            "CREATE TABLE IF NOT EXISTS known_events (identity BLOB PRIMARY KEY, content BLOB, record INT, line INT,"
            " kind TEXT, revision INT, entry_record INT, entry_line INT, place_record INT, place_line INT,"
            " rated_record INT, rated_line INT, standing TEXT) WITHOUT ROWID"
        )

    def find(self, identity: bytes) -> KnownEvent | None:
        row = self._database.execute(
            "SELECT content, record, line, kind, revision, entry_record, entry_line, place_record, place_line,"
            " rated_record, rated_line, standing FROM known_events WHERE identity = ?",
            (identity,),
        ).fetchone()
        return KnownEvent(*row) if row else None

    def keep(self, identity: bytes, event: KnownEvent) -> None:
        self._database.execute("REPLACE INTO known_events VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", (identity, *event))


def hash_identity(organization: str, source: str, id: str) -> bytes:
    return hashlib.sha256(f"{len(organization)},{len(source)},{organization}{source}{id}".encode()).digest()[:16]


def hash_line(line: bytes) -> bytes:
    return hashlib.sha256(line).digest()[:16]
