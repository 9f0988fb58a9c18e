"""How a topic rests in a SQLite file: one table a topic, partition and offset in its key."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zstandard

from ledger.errors import LogDamaged
from ledger.home.files import create_private, database_error, unusable
from ledger.home.layout import RECORDED, HomeFile, find
from ledger.log.record import Record
from ledger.log.topics import Topic

SHIFT = 40  # the row's id holds partition and offset: 2^40 records a partition
OFFSET = (1 << SHIFT) - 1


def open_file(path: Path, *, writes: bool) -> sqlite3.Connection:
    """A connection to a log file in WAL mode, in which an acknowledged commit survives a power cut. A file that is
    made is its owner's alone. TallyError where it cannot be opened, or is no database."""
    path = path.absolute()  # SQLite takes "file:x" for more than a name
    if writes:
        create_private(path)
    else:
        try:
            path.stat()  # or SQLite would make it
        except OSError as error:
            raise unusable(path, error) from error
    connection = None
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
        if writes:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        else:
            connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # so what is no database is told here
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise database_error(*_named(path), error, path) from error
    return connection


@contextmanager
def answering(connection: sqlite3.Connection) -> Iterator[None]:
    """Turn what SQLite says against the connection's file into a TallyError that names it and the way out."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a defect of ours
    except sqlite3.Error as error:
        (path,) = [Path(row[2]) for row in connection.execute("PRAGMA database_list") if row[1] == "main"]
        raise database_error(*_named(path), error, path) from error


def _named(path: Path) -> tuple[Path, HomeFile]:
    """The home of a file, and what the layout says of it."""
    return find(path) or (path.parent, RECORDED)


def table(topic: Topic) -> str:
    return topic.name.replace(".", "_")


def create(connection: sqlite3.Connection, topics: Iterable[Topic]) -> None:
    for topic in topics:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table(topic)}"
            " (id INTEGER PRIMARY KEY, time_ms INTEGER, key TEXT, headers TEXT, value BLOB)"
        )


def holds(connection: sqlite3.Connection, topic: Topic) -> bool:
    with answering(connection):
        return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table(topic),)).fetchone())


def insert(connection: sqlite3.Connection, topic: Topic, record: Record) -> None:
    row = (
        record.partition << SHIFT | record.offset,
        record.time_ms,
        record.key,
        json.dumps(record.headers, ensure_ascii=False),
        zstandard.compress(record.value, 1),
    )
    connection.execute(f"INSERT INTO {table(topic)} VALUES (?, ?, ?, ?, ?)", row)


def last(connection: sqlite3.Connection, topic: Topic, partition: int) -> tuple[int, int]:
    """Offset and time of a partition's last record; (-1, 0) where it is empty."""
    with answering(connection):
        row = connection.execute(
            f"SELECT id, time_ms FROM {table(topic)} WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1",
            (partition << SHIFT, (partition + 1) << SHIFT),
        ).fetchone()
    return (row[0] & OFFSET, row[1]) if row else (-1, 0)


def select(connection: sqlite3.Connection, topic: Topic, partition: int, offset: int, max_bytes: int) -> list[Record]:
    found: list[Record] = []
    size = 0
    with answering(connection):
        cursor = connection.execute(
            f"SELECT id, time_ms, key, headers, value FROM {table(topic)} WHERE id >= ? AND id < ? ORDER BY id",
            (partition << SHIFT | offset, (partition + 1) << SHIFT),
        )
        for id, *row in cursor:
            found.append(_record(topic, partition, id & OFFSET, *row))
            size += len(found[-1].value)
            if size >= max_bytes:
                break
        cursor.close()
    return found


def _record(topic: Topic, partition: int, offset: int, time_ms: Any, key: Any, headers: Any, packed: Any) -> Record:
    """A row as a record. LogDamaged where it was altered."""
    try:
        said = json.loads(headers)
        if not (isinstance(time_ms, int) and isinstance(key, str) and isinstance(said, dict)):
            raise TypeError("a column has another type")
        return Record(partition, offset, time_ms, key, said, zstandard.decompress(packed))
    except (zstandard.ZstdError, ValueError, TypeError) as error:
        where = f"{topic.name}, partition {partition}, offset {offset}"
        way_out = "restore the log from a copy" if topic.origin == "recorded" else "`tally rebuild` derives it anew"
        raise LogDamaged(f"the record at {where} cannot be read ({error}): {way_out}") from error
