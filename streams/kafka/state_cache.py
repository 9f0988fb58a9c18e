"""The folds' memory of one Kafka partition on this machine: what of the topic of rows was absorbed, in a SQLite file.

It is stamped with how far it has absorbed the topic, written only after Kafka has committed, and so never ahead of
it. Losing it costs reading the topic again.
"""

import fcntl
import sqlite3
import time
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path

from ledger.home.files import database_errors, is_damage
from ledger.home.layout import STATE_CACHE
from ledger.home.locks import open_lock
from ledger.log.sqlite import tables
from ledger.log.sqlite.log import transaction
from streams.folds.version import VERSION
from streams.partition_state import Change, PartitionState

MAX_AGE_S = 12 * 3600
"""Half of Kafka's ``delete.retention.ms``: what is older may lack that a row was deleted."""

_STAMP_TABLE = "CREATE TABLE IF NOT EXISTS absorbed (topic TEXT, next_offset INTEGER, at_s REAL)"


class StateCache:
    """Held by one process. Where another one holds the file (one that is frozen, and no longer owns the partition), a
    temporary one takes its place."""

    def __init__(self, folder: Path, partition: int, topic: str) -> None:
        """``topic`` is what tells the topic of rows from another one of its name: its id on the cluster."""
        self._partition = partition
        self._topic = topic
        path = folder / f"{partition}.{VERSION}.db"
        self._path = path
        self._lock = _try_lock(path.with_suffix(".lock"))
        try:
            self._db = self._open_database(path if self._lock else Path())
            self.state = PartitionState(self._db)
        except BaseException as error:
            self._release_file(error)
            raise

    @property
    def next_offset(self) -> int:
        """The offset of the topic of rows that comes next."""
        with tables.database_errors(self._db):
            (next_offset,) = self._db.execute("SELECT next_offset FROM absorbed").fetchone()
        return int(next_offset)

    def absorb(self, changes: Iterable[Change], next_offset: int) -> None:
        """Take in what was committed to the topic of rows before this offset, at once."""
        with transaction(self._db):
            for change in changes:
                self.state.apply(self._partition, change)
            self._db.execute("UPDATE absorbed SET next_offset = ?, at_s = ?", (next_offset, time.time()))

    def close(self, error: BaseException | None = None) -> None:
        """Give the file back. Where ``error`` says that it is damaged it is deleted: the next one reads Kafka again."""
        self._db.close()
        self._release_file(error)

    def _release_file(self, error: BaseException | None) -> None:
        if self._lock and is_damage(error):
            print(f"{self._path} is damaged, deleted, and read again from Kafka: {error}", flush=True)
            _delete(self._path)
        if self._lock:
            self._lock.close()

    def _open_database(self, path: Path) -> sqlite3.Connection:
        with database_errors(path.parent, STATE_CACHE, path):
            db = _open_file(path)
            stamp = db.execute("SELECT topic, at_s FROM absorbed").fetchone()
            if stamp and (stamp[0] != self._topic or time.time() - stamp[1] > MAX_AGE_S):
                db.close()
                _delete(path)
                db, stamp = _open_file(path), None
            if stamp is None:
                db.execute("INSERT INTO absorbed VALUES (?, 0, ?)", (self._topic, time.time()))
            return db


def _delete(path: Path) -> None:
    """The file, and what SQLite keeps beside it."""
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink(missing_ok=True)


def _open_file(path: Path) -> sqlite3.Connection:
    db = (
        tables.open_file(path, writes=True)
        if path.name
        else sqlite3.connect("", isolation_level=None, check_same_thread=False)
    )
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute(_STAMP_TABLE)
    return db


def _try_lock(path: Path) -> TextIOWrapper | None:
    file = open_lock(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
