"""The verified prefix of a partition, kept in ``verified/`` of the home: how far the audit has read, with the hash of
the record there, what it needs to go on, and the totals up to there.

A record on the log never changes, so what the audit says of a prefix stays what it was: late restatements and
corrections are records further on. The warehouse is not trusted like that: all of its rows are summed each time.
"""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import audit.verify
import ledger
import tallystick
from ledger.home.files import create_private, make_folder, write_atomically
from ledger.home.layout import VERIFIED
from ledger.log import Log, Record
from ledger.log.topics import DERIVED, EVENTS, Topic
from ledger.settings import Settings


class Mark(NamedTuple):
    """A record that was read last: its offset and its digest."""

    offset: int
    digest: str


class Prefix(NamedTuple):
    """The last records that were read, by topic, and the content that belongs to them."""

    marks: dict[str, Mark]
    content: dict[str, Any]


def discard_prefixes(settings: Settings) -> None:
    """Delete what was verified: the next verification recomputes everything."""
    shutil.rmtree(VERIFIED.path(settings.home), ignore_errors=True)


def locate_database(settings: Settings, partition: int) -> Path:
    return VERIFIED.path(settings.home) / f"{partition}.db"


@contextmanager
def open_database(settings: Settings, log: Log, partition: int, last_offset: int) -> Iterator["DatabasePrefix"]:
    """Open what was verified of ``tally.events``: empty where it is missing, damaged, of another release or of another
    log; a temporary one where it is ahead of ``last_offset``."""
    path = locate_database(settings, partition)
    database = _open_file(path)
    loaded = None if database is None else _read_prefix(log, partition, _read_row(database))
    if database is None or loaded is None:
        if database is not None:
            database.close()
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        database = _open_file(path)
        assert database is not None, "it is new"
    elif loaded.marks[EVENTS.name].offset > last_offset:
        database.close()  # it stays for the time when the warehouse has come so far
        database, loaded = sqlite3.connect(""), None
    with closing(database):
        yield DatabasePrefix(database, loaded)


class DatabasePrefix:
    """A prefix in a SQLite database, which holds the known events too."""

    def __init__(self, database: sqlite3.Connection, loaded: Prefix | None) -> None:
        self.database, self.loaded = database, loaded
        database.execute("CREATE TABLE IF NOT EXISTS prefix (id INT PRIMARY KEY, packed TEXT)")

    @property
    def last_offset(self) -> int:
        return self.loaded.marks[EVENTS.name].offset if self.loaded else -1

    def save(self, prefix: Prefix) -> None:
        """Keep a prefix together with the known events."""
        self.database.execute("REPLACE INTO prefix VALUES (1, ?)", (_pack(prefix),))
        self.database.commit()


def peek_offset(settings: Settings, partition: int) -> int:
    """Return the offset up to which a partition was verified, unchecked; -1 where it was not."""
    try:
        content = json.loads(_locate_file(settings, partition).read_text())
        return int(content["marks"][EVENTS.name][0])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return -1


def load_file(settings: Settings, log: Log, partition: int) -> Prefix | None:
    """Read what was verified of the derived topics; None where that is missing, damaged, or another log's."""
    try:
        text = _locate_file(settings, partition).read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return _read_prefix(log, partition, text)


def save_file(settings: Settings, partition: int, prefix: Prefix) -> None:
    write_atomically(_locate_file(settings, partition), _pack(prefix))


def mark_record(record: Record) -> Mark:
    return Mark(record.offset, record.digest())


@cache
def hash_code() -> str:
    """Return a hash of the code that the audit runs: another release verifies anew."""
    hasher = hashlib.sha256()
    for package in (audit.verify, ledger, tallystick):
        folder = Path(package.__path__[0])
        for path in sorted(folder.rglob("*.py")):
            hasher.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return hasher.hexdigest()


def _locate_file(settings: Settings, partition: int) -> Path:
    return VERIFIED.path(settings.home) / f"{partition}.json"


def _pack(prefix: Prefix) -> str:
    content = json.dumps(prefix.content)
    return json.dumps({"code": hash_code(), "marks": prefix.marks, "hash": _hash(content), "content": content})


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _read_prefix(log: Log, partition: int, text: str | None) -> Prefix | None:
    """Read a prefix, if this code wrote it and the log still holds the records where it ends."""
    try:
        packed = json.loads(text or "")
        if packed["code"] != hash_code() or packed["hash"] != _hash(packed["content"]):
            return None
        marks = {name: Mark(*mark) for name, mark in packed["marks"].items()}
        content = json.loads(packed["content"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    topics = {topic.name: topic for topic in (EVENTS, *DERIVED)}
    is_same = all(_is_marked(log, topics[name], partition, mark) for name, mark in marks.items())
    return Prefix(marks, content) if is_same else None


def _is_marked(log: Log, topic: Topic, partition: int, mark: Mark) -> bool:
    records = log.read(topic, partition, mark.offset, max_bytes=1)
    return bool(records) and records[0].offset == mark.offset and records[0].digest() == mark.digest


def _open_file(path: Path) -> sqlite3.Connection | None:
    """Open a database; None where it is no database any more."""
    make_folder(path.parent)
    create_private(path)
    database = sqlite3.connect(path)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA cache_size = -32768")
    except sqlite3.DatabaseError:
        database.close()
        return None
    return database


def _read_row(database: sqlite3.Connection) -> str | None:
    with suppress(sqlite3.DatabaseError):
        row = database.execute("SELECT packed FROM prefix").fetchone()
        return row[0] if row else None
    return None
