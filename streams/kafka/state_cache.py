"""A cache of one Kafka partition's state on this machine: a SQLite file that follows the state topic.

It stores its offset in the topic. It is written only after Kafka has committed, so it is never ahead. Losing it costs
reading the topic again.
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
"""Half of Kafka's ``delete.retention.ms``: an older cache may have missed the deletion of a row."""

_STAMP_TABLE = "CREATE TABLE IF NOT EXISTS absorbed (topic TEXT, next_offset INTEGER, at_s REAL)"


class StateCache:
    """The cache of a partition, open in one process. Where another process holds the file (a frozen one that no longer
    owns the partition), a temporary file takes its place."""

    def __init__(self, folder: Path, partition: int, topic: str) -> None:
        """``topic`` is the id of the state topic on the cluster: a topic that is created anew has another one."""
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
        """The next offset of the state topic."""
        with tables.database_errors(self._db):
            (next_offset,) = self._db.execute("SELECT next_offset FROM absorbed").fetchone()
        return int(next_offset)

    def absorb(self, changes: Iterable[Change], next_offset: int) -> None:
        """Apply the changes committed to the state topic before this offset, in one transaction."""
        with transaction(self._db):
            for change in changes:
                self.state.apply(self._partition, change)
            self._db.execute("UPDATE absorbed SET next_offset = ?, at_s = ?", (next_offset, time.time()))

    def close(self, error: BaseException | None = None) -> None:
        """Close the file. Where ``error`` shows that it is damaged, delete it: the next owner reads Kafka again."""
        self._db.close()
        self._release_file(error)

    def _release_file(self, error: BaseException | None) -> None:
        if self._lock and is_damage(error):
            print(f"{self._path} is damaged; deleted it, and the state is read again from Kafka: {error}", flush=True)
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
    """Delete a database and the files that SQLite keeps beside it."""
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
