"""The deliveries of a home in SQLite: messages, attempts, and the positions up to which the topics are read."""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from alerting.incidents import Incident
from alerting.messages import OPENING, Message
from ledger.errors import TallyError
from ledger.home.locks import locked

_SCHEMA = """
CREATE TABLE IF NOT EXISTS positions (
    topic TEXT, partition INTEGER, offset INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, route TEXT NOT NULL, organization TEXT NOT NULL, type TEXT NOT NULL,
    time_ms INTEGER NOT NULL, alert TEXT, data TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'pending', due_ms INTEGER, said TEXT, ended_ms INTEGER, UNIQUE (id, route)
);
CREATE INDEX IF NOT EXISTS due ON deliveries (route, due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_alert ON deliveries (organization, alert) WHERE alert IS NOT NULL;
CREATE TABLE IF NOT EXISTS attempts (id TEXT, route TEXT, at_ms INTEGER, said TEXT);
CREATE TABLE IF NOT EXISTS pruned (state TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS incidents (
    organization TEXT, alert TEXT, incident TEXT NOT NULL, ended_ms INTEGER, PRIMARY KEY (organization, alert)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS silences (
    organization TEXT, scope TEXT, since_us INTEGER, until_us INTEGER NOT NULL,
    PRIMARY KEY (organization, scope, since_us)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (organization TEXT PRIMARY KEY, summary TEXT NOT NULL, updated_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS statements (
    organization TEXT, subject TEXT, offset INTEGER, seq INTEGER, effective_us INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (organization, subject, offset, seq)
) WITHOUT ROWID;
"""

FILE = "deliveries.db"
RETENTION_DAYS = 30
"""Days for which a delivery that has ended is kept, by this machine's clock."""
MAX_PRUNED_DELIVERIES = 1_000
MAX_SET_ASIDE_FILES = 5
"""Damaged files that are kept. One more means that the disk needs attention."""

_DAMAGE_CODES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""SQLite's codes for a file that is not ours: its pages, its header, or (our statements are fixed) its tables."""


class DeliveriesDamaged(TallyError):
    """The file of deliveries holds something else than was written. The deliverer sets it aside."""


class DeliveriesUnavailable(TallyError):
    """The file of deliveries cannot be read or written now: its owner, its mode, or its disk."""


Value = TypeVar("Value")
Cause = tuple[int, int]
"""The offset of the record of ``tally.events`` that caused a line, and the line's number."""


class Delivery(NamedTuple):
    """One delivery. ``state`` is pending, delivered, given up, silenced or not needed; ``due_ms`` is the time of the
    next attempt, and ``said`` the last answer."""

    id: str
    route: str
    organization: str
    type: str
    time_ms: int
    attempts: int
    state: str
    due_ms: int | None
    said: str | None
    ended_ms: int | None


class DueMessage(NamedTuple):
    """A message that is due on a route, after so many attempts."""

    message: Message
    attempts: int
    state: str


class Deliveries:
    """The store of deliveries, for one thread at a time. A write is durable when the call returns. DeliveriesDamaged or
    DeliveriesUnavailable where a call cannot be answered."""

    def __init__(self, home: Path, *, writes: bool = True) -> None:
        """Open the file. Without ``writes`` it must exist, and nothing is changed."""
        self._path = home / FILE
        with self._file_errors():
            if writes:
                _create_file(self._path)
            if self._path.stat().st_size == 0:
                raise DeliveriesDamaged(_describe_damage(self._path, "it is empty"))
            address = f"{self._path.resolve().as_uri()}?mode={'rw' if writes else 'ro'}"
            self._db = sqlite3.connect(address, uri=True, isolation_level=None, timeout=30, check_same_thread=False)
        try:
            with self._file_errors():
                if writes:
                    self._db.execute("PRAGMA journal_mode=WAL")
                    self._db.execute("PRAGMA synchronous=FULL")
                    self._db.executescript(_SCHEMA)
        except TallyError:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    def check(self) -> None:
        """Read every page, and check that the file can be written."""
        ((result,),) = self._select("PRAGMA quick_check(1)")
        if result != "ok":
            raise DeliveriesDamaged(_describe_damage(self._path, " ".join(result.split())))
        with self._transaction():
            pass

    def has_positions(self) -> bool:
        """Tell whether a position is stored."""
        return bool(self._select("SELECT 1 FROM positions LIMIT 1"))

    def position(self, topic: str, partition: int) -> Cause:
        """Return the position of the last line that was read; (-1, 0) at the start."""
        rows = self._select("SELECT offset, seq FROM positions WHERE topic = ? AND partition = ?", (topic, partition))
        try:
            return msgspec.convert(rows[0], Cause) if rows else (-1, 0)
        except msgspec.ValidationError:
            raise DeliveriesDamaged(_describe_damage(self._path, "a position is no number")) from None

    def begin(self, positions: Iterable[tuple[str, int, int]]) -> None:
        """Store the positions to read after: topic, partition and the offset of the cause."""
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, 1 << 60)", positions)

    @contextmanager
    def taking(self, partition: int, positions: Mapping[str, Cause]) -> Iterator[None]:
        """Store what follows from lines, and the position of the last one of each topic: all or nothing."""
        with self._transaction():
            yield
            rows = [(topic, partition, *position) for topic, position in positions.items()]
            self._db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)", rows)

    def put(self, message: Message, route: str, due_ms: int) -> None:
        """Store a message to deliver on a route, unless it is stored already. Within :meth:`taking`."""
        self._execute(
            "INSERT OR IGNORE INTO deliveries (id, route, organization, type, time_ms, alert, data, due_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            message.id, route, message.organization, message.type, message.time_ms, message.alert,
            json.dumps(message.data), due_ms,
        )  # fmt: skip

    def list_told_routes(self, organization: str, alert: str) -> list[str]:
        """List the routes that have a message of an alert, sent or not."""
        rows = self._select(
            "SELECT DISTINCT route FROM deliveries WHERE organization = ? AND alert = ?", (organization, alert)
        )
        return [route for (route,) in rows]

    def has_opened(self, route: str, organization: str, alert: str) -> bool:
        """Tell whether a route sends a message that opens an alert, or sent it."""
        return bool(
            self._select(
                "SELECT 1 FROM deliveries WHERE organization = ? AND alert = ? AND route = ? AND type IN (?, ?) "
                "AND state IN ('pending', 'delivered', 'given up') LIMIT 1", (organization, alert, route, *OPENING),
            )
        )  # fmt: skip

    def make_held_due(self, organization: str, alert: str, now_ms: int) -> None:
        """Have the messages of an alert judged now that wait for a silence to end, or for an answer. Within
        :meth:`taking`."""
        self._execute(
            "UPDATE deliveries SET due_ms = ? WHERE organization = ? AND alert = ? AND attempts = 0 AND due_ms > ?",
            now_ms, organization, alert, now_ms,
        )  # fmt: skip

    def make_silenced_due(self, organization: str, now_ms: int) -> None:
        """Have what is silenced judged now, since a silence changed. Within :meth:`taking`."""
        self._execute(
            "UPDATE deliveries SET due_ms = ? WHERE organization = ? AND state = 'silenced' AND due_ms > ?",
            now_ms, organization, now_ms,
        )  # fmt: skip

    def list_due(self, route: str, now_ms: int, limit: int) -> list[DueMessage]:
        """List at most ``limit`` messages of a route that are due, in order. Those of one alert keep their order: one
        waits while another before it does."""
        rows = self._select(
            "SELECT id, organization, type, time_ms, data, attempts, state FROM deliveries AS due "
            "WHERE route = ? AND due_ms <= ? AND NOT EXISTS (SELECT 1 FROM deliveries AS earlier "
            "WHERE earlier.organization = due.organization AND earlier.alert = due.alert "
            "AND earlier.route = due.route AND earlier.number < due.number AND earlier.due_ms > ?) "
            "ORDER BY number LIMIT ?", (route, now_ms, now_ms, limit),
        )  # fmt: skip
        try:
            return [
                msgspec.convert(
                    ((id, owner, kind, time_ms, json.loads(data)), attempts, state), DueMessage
                )
                for id, owner, kind, time_ms, data, attempts, state in rows
            ]  # fmt: skip
        except (TypeError, ValueError, msgspec.ValidationError):
            raise DeliveriesDamaged(_describe_damage(self._path, "a delivery is not what we write")) from None

    def record_attempt(self, id: str, route: str, now_ms: int, answer: str, *, state: str, due_ms: int | None) -> None:
        """Record an attempt with its answer, and the state that follows from it."""
        ended_ms = None if state == "pending" else now_ms
        with self._transaction():
            self._db.execute("INSERT INTO attempts VALUES (?, ?, ?, ?)", (id, route, now_ms, answer))
            self._db.execute(
                "UPDATE deliveries SET attempts = attempts + 1, state = ?, due_ms = ?, said = ?, ended_ms = ? "
                "WHERE id = ? AND route = ?", (state, due_ms, answer, ended_ms, id, route),
            )  # fmt: skip

    def hold_back(self, id: str, route: str, now_ms: int, reason: str, *, state: str, due_ms: int | None) -> None:
        """Record that a message is not sent, or not now, and why."""
        with self._transaction():
            self._db.execute(
                "UPDATE deliveries SET state = ?, due_ms = ?, said = ?, ended_ms = ? WHERE id = ? AND route = ?",
                (state, due_ms, reason, now_ms if due_ms is None else None, id, route),
            )

    def give_up(self, route: str, now_ms: int, reason: str) -> None:
        """Give up all pending deliveries of a route, with the reason."""
        with self._transaction():
            self._db.execute(
                "UPDATE deliveries SET state = 'given up', due_ms = NULL, said = ?, ended_ms = ? "
                "WHERE route = ? AND due_ms IS NOT NULL", (reason, now_ms, route),
            )  # fmt: skip

    def list_due_routes(self, now_ms: int) -> list[str]:
        """List the routes with a delivery that is due."""
        rows = self._select("SELECT DISTINCT route FROM deliveries WHERE due_ms <= ?", (now_ms,))
        return [route for (route,) in rows]

    def find_incident(self, organization: str, alert: str) -> Incident | None:
        """Return what is known of an alert; None where it was raised before the beginning, or long ago."""
        rows = self._select(
            "SELECT incident FROM incidents WHERE organization = ? AND alert = ?", (organization, alert)
        )
        return self._decode(rows[0][0], Incident) if rows else None

    def put_incident(self, organization: str, alert: str, incident: Incident, now_ms: int) -> None:
        """Store what is known of an alert. Within :meth:`taking`."""
        self._execute(
            "INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?)", organization, alert,
            msgspec.json.encode(incident).decode(), now_ms if incident.is_resolved else None,
        )  # fmt: skip

    def put_silence(self, organization: str, scope: dict[str, str], since_us: int, until_us: int) -> None:
        """Store a silence of a scope from a moment on. Within :meth:`taking`."""
        text = json.dumps(scope, sort_keys=True)
        self._execute("INSERT OR REPLACE INTO silences VALUES (?, ?, ?, ?)", organization, text, since_us, until_us)

    def list_silences(self, organization: str, now_us: int) -> list[tuple[dict[str, str], int]]:
        """List the silences in force: scope and end. Of a scope the latest that has begun counts."""
        rows = self._select(
            "SELECT scope, until_us, max(since_us) FROM silences WHERE organization = ? AND since_us <= ? "
            "GROUP BY scope HAVING until_us > ?", (organization, now_us, now_us),
        )  # fmt: skip
        return [(json.loads(scope), until_us) for scope, until_us, _ in rows]

    def find_history(self, organization: str) -> Message | None:
        """Return the summary of the past that is being collected; None where there is none."""
        rows = self._select("SELECT summary FROM history WHERE organization = ?", (organization,))
        return self._decode(rows[0][0], Message) if rows else None

    def put_history(self, summary: Message, now_ms: int) -> None:
        """Store the summary of the past that is being collected. Within :meth:`taking`."""
        text = msgspec.json.encode(summary).decode()
        self._execute("INSERT OR REPLACE INTO history VALUES (?, ?, ?)", summary.organization, text, now_ms)

    def list_histories(self, before_ms: int) -> list[Message]:
        """List the summaries to which nothing was added since a moment."""
        rows = self._select("SELECT summary FROM history WHERE updated_ms <= ?", (before_ms,))
        return [self._decode(text, Message) for (text,) in rows]

    def send_history(self, summary: Message, routes: Iterable[str], now_ms: int) -> None:
        """Deliver a summary on these routes, and end its collection: both or neither."""
        with self._transaction():
            for route in routes:
                self.put(summary, route, now_ms)
            self._db.execute("DELETE FROM history WHERE organization = ?", (summary.organization,))

    def put_statement(self, organization: str, subject: str, cause: Cause, effective_us: int, body: str) -> None:
        """Store what the registry says of a subject. Within :meth:`taking`."""
        self._execute(
            "INSERT OR REPLACE INTO statements VALUES (?, ?, ?, ?, ?, ?)",
            organization,
            subject,
            *cause,
            effective_us,
            body,
        )

    def find_statement(self, organization: str, subject: str, now_us: int) -> dict[str, Any]:
        """Return what the registry says of a subject now; nothing where it says nothing, or that it ended."""
        rows = self._select(
            "SELECT body FROM statements WHERE organization = ? AND subject = ? AND effective_us <= ? "
            "ORDER BY offset DESC, seq DESC LIMIT 1", (organization, subject, now_us),
        )  # fmt: skip
        return self._decode(rows[0][0], dict[str, Any]) if rows else {}

    def list_newest(self, organization: str | None, limit: int) -> list[Delivery]:
        """List the newest deliveries, the latest first."""
        rows = self._select(
            "SELECT id, route, organization, type, time_ms, attempts, state, due_ms, said, ended_ms FROM deliveries "
            "WHERE ? IN ('', organization) ORDER BY number DESC LIMIT ?", (organization or "", limit),
        )  # fmt: skip
        return [Delivery(*row) for row in rows]

    def count_by_state(self) -> dict[str, int]:
        """Count all deliveries by state, including those that were pruned."""
        return dict(
            self._select(
                "SELECT state, sum(count) FROM (SELECT state, count(*) AS count FROM deliveries GROUP BY state "
                "UNION ALL SELECT state, count FROM pruned) GROUP BY state"
            )
        )

    def oldest_pending_ms(self, now_ms: int) -> int | None:
        """Return the log's time of the oldest delivery that is late; None where none is. One that waits for the end of
        a silence, or for an answer to its alert, is not."""
        ((oldest_ms,),) = self._select(
            "SELECT min(time_ms) FROM deliveries WHERE due_ms IS NOT NULL AND (attempts > 0 OR due_ms <= ?)", (now_ms,)
        )
        return oldest_ms  # type: ignore[no-any-return]

    def prune(self, now_ms: int) -> int:
        """Delete up to ``MAX_PRUNED_DELIVERIES`` that ended more than ``RETENTION_DAYS`` ago, with their attempts, and
        return how many; 0 when none is left.

        A cause that is derived again makes no new delivery: it lies before the stored position."""
        before_ms = now_ms - RETENTION_DAYS * 86_400_000
        ended = self._select(
            "SELECT number, id, state FROM deliveries WHERE ended_ms < ? LIMIT ?", (before_ms, MAX_PRUNED_DELIVERIES)
        )
        if not ended:
            return 0
        with self._transaction():
            self._db.executemany("DELETE FROM deliveries WHERE number = ?", [(number,) for number, _, _ in ended])
            self._db.execute("DELETE FROM attempts WHERE at_ms < ?", (before_ms,))
            self._db.execute("DELETE FROM incidents WHERE ended_ms < ?", (before_ms,))
            self._db.execute("DELETE FROM silences WHERE until_us < ?", (before_ms * 1000,))
            self._db.executemany(
                "INSERT INTO pruned VALUES (?, 1) ON CONFLICT (state) DO UPDATE SET count = count + 1",
                [(state,) for _, _, state in ended],
            )
        return len(ended)

    def _execute(self, statement: str, *values: object) -> None:
        with self._file_errors():
            self._db.execute(statement, values)

    def _decode(self, text: str, type: type[Value]) -> Value:
        try:
            return msgspec.json.decode(text, type=type)
        except (msgspec.MsgspecError, TypeError):
            raise DeliveriesDamaged(_describe_damage(self._path, "a row is not what we write")) from None

    def _select(self, statement: str, values: tuple[object, ...] = ()) -> list[Any]:
        with self._file_errors():
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._file_errors(), self._db:  # it commits, or rolls back
            self._db.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _file_errors(self) -> Iterator[None]:
        """Turn an error of SQLite or the disk into one that names the file and its way out."""
        try:
            yield
        except OSError as error:
            raise DeliveriesUnavailable(_describe_unavailability(self._path, error.strerror or str(error))) from error
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # none where text is not UTF-8
            if code in _DAMAGE_CODES:
                raise DeliveriesDamaged(_describe_damage(self._path, str(error))) from error
            raise DeliveriesUnavailable(_describe_unavailability(self._path, str(error))) from error
        except sqlite3.DatabaseError as error:
            raise DeliveriesDamaged(_describe_damage(self._path, str(error))) from error


def set_aside(home: Path) -> Path:
    """Move a damaged file, and SQLite's files beside it, to a name of its own, so that a new one can begin. Return its
    new path. DeliveriesUnavailable where it cannot be moved, or was moved too often."""
    path = home / FILE
    if len(set_aside_files(home)) >= MAX_SET_ASIDE_FILES:
        raise DeliveriesUnavailable(
            f"{path} is damaged again, and {MAX_SET_ASIDE_FILES} damaged ones are set aside already: check the disk, "
            f"then delete {path}.damaged-*"
        )
    target = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    try:
        for suffix in ("-wal", "-shm", ""):  # the file itself last: a kill in between does this again
            source = path.with_name(path.name + suffix)
            if source.exists():
                source.replace(target.with_name(target.name + suffix))
    except OSError as error:
        raise DeliveriesUnavailable(_describe_unavailability(path, error.strerror or str(error))) from error
    return target


def set_aside_files(home: Path) -> list[Path]:
    """List the damaged files that were set aside, the oldest first."""
    return [path for path in sorted(home.glob(f"{FILE}.damaged-*")) if not path.name.endswith(("-wal", "-shm"))]


def _create_file(path: Path) -> None:
    """Create the file whole where there is none, so that an empty file is always one that lost its content."""
    with locked(path.parent / "run" / "deliveries.lock"):
        if path.exists():
            return
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        new.touch(0o600)
        with closing(sqlite3.connect(new)) as db:
            db.executescript(_SCHEMA)
        new.replace(path)


def _describe_damage(path: Path, reason: str) -> str:
    return (
        f"{path} is damaged ({reason}): `tally up` and `tally alerts deliver` set it aside and begin a new one; "
        "what was pending in it is not sent"
    )


def _describe_unavailability(path: Path, reason: str) -> str:
    return (
        f"cannot use {path} ({reason}): free some disk space, or let the user that runs Tallystick read and write it "
        "and its folder (chown, chmod); alerts are delivered from then on, and none is lost"
    )
