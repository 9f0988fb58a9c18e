"""How a topic rests in a SQLite file: one table a topic, partition and offset in its key."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import zstandard

from ledger.errors import LogDamaged, TallyError
from ledger.log.record import Record
from ledger.topics import Topic

SHIFT = 40  # the row's id holds partition and offset: 2^40 records a partition
OFFSET = (1 << SHIFT) - 1


def open_file(path: Path, *, writes: bool) -> sqlite3.Connection:
    """A connection to a log file in WAL mode, in which an acknowledged commit survives a power cut."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
        if writes:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        else:
            connection.execute("PRAGMA query_only=ON")
    except (OSError, sqlite3.Error) as error:
        raise TallyError(
            f"cannot open {path}: {error}; docs/operations.md (Lose a disk) says what replaces a damaged file"
        ) from error
    return connection


def table(topic: Topic) -> str:
    return topic.name.replace(".", "_")


def create(connection: sqlite3.Connection, topics: Iterable[Topic]) -> None:
    for topic in topics:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table(topic)}"
            " (id INTEGER PRIMARY KEY, time_ms INTEGER, key TEXT, headers TEXT, value BLOB)"
        )


def holds(connection: sqlite3.Connection, topic: Topic) -> bool:
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
    row = connection.execute(
        f"SELECT id, time_ms FROM {table(topic)} WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1",
        (partition << SHIFT, (partition + 1) << SHIFT),
    ).fetchone()
    return (row[0] & OFFSET, row[1]) if row else (-1, 0)


def select(connection: sqlite3.Connection, topic: Topic, partition: int, offset: int, max_bytes: int) -> list[Record]:
    found: list[Record] = []
    size = 0
    cursor = connection.execute(
        f"SELECT id, time_ms, key, headers, value FROM {table(topic)} WHERE id >= ? AND id < ? ORDER BY id",
        (partition << SHIFT | offset, (partition + 1) << SHIFT),
    )
    for id, time_ms, key, headers, packed in cursor:
        try:
            value = zstandard.decompress(packed)
        except zstandard.ZstdError as error:
            where = f"{topic.name}, partition {partition}, offset {id & OFFSET}"
            raise LogDamaged(f"the record at {where} cannot be read ({error}): restore the log from a copy") from error
        found.append(Record(partition, id & OFFSET, time_ms, key, json.loads(headers), value))
        size += len(value)
        if size >= max_bytes:
            break
    cursor.close()
    return found
