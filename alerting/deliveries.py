"""The deliveries of a home: what was to be told, each attempt, and how far the topics are read; in SQLite."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from alerting.messages import Message

_SCHEMA = """
CREATE TABLE IF NOT EXISTS positions (
    topic TEXT, partition INTEGER, offset INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, organization TEXT NOT NULL, type TEXT NOT NULL,
    time_ms INTEGER NOT NULL, data TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'pending', due_ms INTEGER, said TEXT, ended_ms INTEGER
);
CREATE INDEX IF NOT EXISTS due ON deliveries (organization, due_ms) WHERE due_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS attempts (id TEXT, at_ms INTEGER, said TEXT);
"""

Cause = tuple[int, int]
"""The offset of the record of ``tally.events`` that caused a line, and the line's number."""


class Delivery(NamedTuple):
    """``state`` is pending, delivered, or given up; ``due_ms`` when it is tried next; ``said`` the last answer."""

    id: str
    organization: str
    type: str
    time_ms: int
    attempts: int
    state: str
    due_ms: int | None
    said: str | None
    ended_ms: int | None


class Deliveries:
    """One thread at a time. What is written is durable when the call returns."""

    def __init__(self, home: Path) -> None:
        path = home / "deliveries.db"
        path.touch(0o600)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def begun(self) -> bool:
        """Whether it stands anywhere."""
        return self._db.execute("SELECT 1 FROM positions LIMIT 1").fetchone() is not None

    def position(self, topic: str, partition: int) -> Cause:
        """The last line that was read."""
        found = self._db.execute(
            "SELECT offset, seq FROM positions WHERE topic = ? AND partition = ?", (topic, partition)
        ).fetchone()
        return tuple(found) if found else (-1, 0)

    def begin(self, positions: Iterable[tuple[str, int, int]]) -> None:
        """Read from behind these records on: topic, partition and the cause's offset."""
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, 1 << 60)", positions)

    def take(self, topic: str, partition: int, upto: Cause, messages: Iterable[Message], now_ms: int) -> None:
        """All that these lines tell is to be delivered, and they are read: both or neither."""
        rows = [(one.id, one.organization, one.type, one.time_ms, json.dumps(one.data), now_ms) for one in messages]
        with self._transaction():
            self._db.executemany(
                "INSERT OR IGNORE INTO deliveries (id, organization, type, time_ms, data, due_ms) "
                "VALUES (?, ?, ?, ?, ?, ?)", rows,
            )  # fmt: skip
            self._db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)", (topic, partition, *upto))

    def due(self, organization: str, now_ms: int, most: int) -> list[tuple[Message, int]]:
        """What is to be tried now, in order, and how often it was."""
        found = self._db.execute(
            "SELECT id, organization, type, time_ms, data, attempts FROM deliveries "
            "WHERE organization = ? AND due_ms <= ? ORDER BY number LIMIT ?", (organization, now_ms, most),
        ).fetchall()  # fmt: skip
        return [
            (Message(id, whose, kind, time_ms, json.loads(data)), attempts)
            for id, whose, kind, time_ms, data, attempts in found
        ]

    def tried(self, id: str, now_ms: int, said: str, *, state: str, due_ms: int | None) -> None:
        """Record an attempt, and what follows."""
        ended = None if state == "pending" else now_ms
        with self._transaction():
            self._db.execute("INSERT INTO attempts VALUES (?, ?, ?)", (id, now_ms, said))
            self._db.execute(
                "UPDATE deliveries SET attempts = attempts + 1, state = ?, due_ms = ?, said = ?, ended_ms = ? "
                "WHERE id = ?", (state, due_ms, said, ended, id),
            )  # fmt: skip

    def give_up(self, organization: str, now_ms: int, why: str) -> None:
        """Whatever is pending for an organization that cannot be told any more."""
        with self._transaction():
            self._db.execute(
                "UPDATE deliveries SET state = 'given up', due_ms = NULL, said = ?, ended_ms = ? "
                "WHERE organization = ? AND state = 'pending'", (why, now_ms, organization),
            )  # fmt: skip

    def waiting(self, now_ms: int) -> list[str]:
        """The organizations for which something is to be tried now."""
        found = self._db.execute("SELECT DISTINCT organization FROM deliveries WHERE due_ms <= ?", (now_ms,))
        return [organization for (organization,) in found]

    def newest(self, organization: str | None, limit: int) -> list[Delivery]:
        """The newest, the latest first."""
        found = self._db.execute(
            "SELECT id, organization, type, time_ms, attempts, state, due_ms, said, ended_ms FROM deliveries "
            "WHERE ? IN ('', organization) ORDER BY number DESC LIMIT ?", (organization or "", limit),
        )  # fmt: skip
        return [Delivery(*one) for one in found]

    def counts(self) -> dict[str, int]:
        """How many there are by state."""
        return dict(self._db.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall())

    def oldest_pending_ms(self) -> int | None:
        """The log's time of the oldest that is pending."""
        found: Any = self._db.execute("SELECT min(time_ms) FROM deliveries WHERE due_ms IS NOT NULL").fetchone()
        return found[0] if found else None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._db:  # it commits, or rolls back
            self._db.execute("BEGIN IMMEDIATE")
            yield
