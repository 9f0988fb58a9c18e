"""Topics in a SQLite file: one table a topic, with partition and offset in its key."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zstandard

from ledger.errors import LogDamaged
from ledger.home.files import access_error, create_private, database_error
from ledger.home.layout import RECORDED, HomeFile, find_home_file
from ledger.log.record import Record
from ledger.log.topics import Topic

PARTITION_SHIFT = 40  # the row's id holds partition and offset: 2^40 records a partition
OFFSET_MASK = (1 << PARTITION_SHIFT) - 1


def open_file(path: Path, *, writes: bool) -> sqlite3.Connection:
    """Open a log file in WAL mode, in which an acknowledged commit survives a power cut. A new file is private to its
    owner. TallyError where it cannot be opened, or is no database."""
    path = path.absolute()  # SQLite takes "file:x" for more than a name
    if writes:
        create_private(path)
    else:
        try:
            path.stat()  # or SQLite would make it
        except OSError as error:
            raise access_error(path, error) from error
    connection = None
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
        if writes:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        else:
            connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # a file that is no database fails here
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise database_error(*_find_home_file(path), error, path) from error
    return connection


@contextmanager
def database_errors(connection: sqlite3.Connection) -> Iterator[None]:
    """Turn SQLite's errors about the connection's file into a TallyError that names it and the way out."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a defect of ours
    except sqlite3.Error as error:
        (path,) = [Path(row[2]) for row in connection.execute("PRAGMA database_list") if row[1] == "main"]
        raise database_error(*_find_home_file(path), error, path) from error


def _find_home_file(path: Path) -> tuple[Path, HomeFile]:
    """Find the home of a file, and its entry in the layout."""
    return find_home_file(path) or (path.parent, RECORDED)


def table_name(topic: Topic) -> str:
    return topic.name.replace(".", "_")


def create_tables(connection: sqlite3.Connection, topics: Iterable[Topic]) -> None:
    for topic in topics:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table_name(topic)}"
            " (id INTEGER PRIMARY KEY, time_ms INTEGER, key TEXT, headers TEXT, value BLOB)"
        )


def has_table(connection: sqlite3.Connection, topic: Topic) -> bool:
    with database_errors(connection):
        return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table_name(topic),)).fetchone())


def insert_record(connection: sqlite3.Connection, topic: Topic, record: Record) -> None:
    row = (
        record.partition << PARTITION_SHIFT | record.offset,
        record.time_ms,
        record.key,
        json.dumps(record.headers, ensure_ascii=False),
        zstandard.compress(record.value, 1),
    )
    connection.execute(f"INSERT INTO {table_name(topic)} VALUES (?, ?, ?, ?, ?)", row)


def find_last(connection: sqlite3.Connection, topic: Topic, partition: int) -> tuple[int, int]:
    """Return offset and time of a partition's last record; (-1, 0) where it is empty."""
    with database_errors(connection):
        row = connection.execute(
            f"SELECT id, time_ms FROM {table_name(topic)} WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1",
            (partition << PARTITION_SHIFT, (partition + 1) << PARTITION_SHIFT),
        ).fetchone()
    return (row[0] & OFFSET_MASK, row[1]) if row else (-1, 0)


def select_records(
    connection: sqlite3.Connection, topic: Topic, partition: int, offset: int, max_bytes: int
) -> list[Record]:
    records: list[Record] = []
    size = 0
    with database_errors(connection):
        cursor = connection.execute(
            f"SELECT id, time_ms, key, headers, value FROM {table_name(topic)} WHERE id >= ? AND id < ? ORDER BY id",
            (partition << PARTITION_SHIFT | offset, (partition + 1) << PARTITION_SHIFT),
        )
        for id, *row in cursor:
            records.append(_convert_row(topic, partition, id & OFFSET_MASK, *row))
            size += len(records[-1].value)
            if size >= max_bytes:
                break
        cursor.close()
    return records


def _convert_row(
    topic: Topic, partition: int, offset: int, time_ms: Any, key: Any, headers_json: Any, packed: Any
) -> Record:
    """Convert a row to a record. LogDamaged where it was altered."""
    try:
        headers = json.loads(headers_json)
        if not (isinstance(time_ms, int) and isinstance(key, str) and isinstance(headers, dict)):
            raise TypeError("a column has another type")
        return Record(partition, offset, time_ms, key, headers, zstandard.decompress(packed))
    except (zstandard.ZstdError, ValueError, TypeError) as error:
        place = f"{topic.name}, partition {partition}, offset {offset}"
        way_out = "restore the log from a copy" if topic.origin == "recorded" else "`tally rebuild` derives it anew"
        raise LogDamaged(f"the record at {place} cannot be read ({error}): {way_out}") from error
