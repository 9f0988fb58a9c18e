"""The embedded transport: recorded and derived topics in a SQLite file each."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from ledger import envelope
from ledger.errors import LogClosed, LogDamaged, TallyError
from ledger.home.files import damage_error, write_atomically
from ledger.home.layout import DERIVED, LOG_MARKER, RECORDED
from ledger.home.locks import locked
from ledger.home.wakes import Waker
from ledger.log import READ_BYTES, Draft, Record
from ledger.log.record import check_draft
from ledger.log.sqlite import tables
from ledger.log.topics import ENTRIES, EVENTS, TOPICS, Topic

FOLDS_SERVICE = "streams"
"""The service that an append wakes: it folds what is appended."""
FORMAT_VERSION = 2
"""Version of the recorded file: the names of headers and of control types. A log of another version is not read."""


class EmbeddedLog:
    """Many processes append and read. Each append holds a file lock for at most a mebibyte: SQLite's own lock
    is unfair, and small writers starve beside bulk ones."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.time, *, generation: int | None = None) -> None:
        """Open the log, and create it where none was begun. ``generation`` is the one that is made in this home."""
        self.generation = generation
        self.folder = home / "log"
        self._home, self._path = home, RECORDED.path(home)
        self._clock = clock
        self._derived: tuple[int, sqlite3.Connection] | None = None  # by its file's inode
        self._is_checked = False
        self._waker = Waker(home, FOLDS_SERVICE)
        with locked(self.folder / "recorded.lock"):
            self._recorded = self._open()
            self._inode = self._path.stat().st_ino

    def _open(self) -> sqlite3.Connection:
        """Open the recorded file, and create it where no log was begun. LogDamaged where one was, and is gone."""
        was_created = LOG_MARKER.path(self._home).exists() or _has_entries(self._home)
        if was_created and not (self._path.exists() and self._path.stat().st_size):
            defect = "is empty" if self._path.exists() else "is missing"
            raise LogDamaged(
                f"{self._path} {defect}, and held a log before: restore it from a copy (docs/operations.md, Restore), "
                f"or move {self.folder} away to begin another log; nothing is appended to one that lost its past"
            )
        recorded = tables.open_file(self._path, writes=True)
        try:
            with tables.database_errors(recorded):
                missing = [
                    topic for topic in TOPICS if topic.origin == "recorded" and not tables.has_table(recorded, topic)
                ]
                if was_created and EVENTS in missing:
                    raise damage_error(self._home, RECORDED, "it holds no log any more")
                self._check_format(recorded, is_new=EVENTS in missing)
                tables.create_tables(recorded, missing)
                # The last records do not show it: a copy from elsewhere ends with the same ones, and goes on.
                recorded.execute("CREATE TABLE IF NOT EXISTS closed (went TEXT)")
            if not LOG_MARKER.path(self._home).exists():
                write_atomically(LOG_MARKER.path(self._home), json.dumps({"begun": True}))
        except BaseException:  # whatever ends the opening, an interrupt too: no caller has this log to close
            recorded.close()
            raise
        return recorded

    def _check_format(self, recorded: sqlite3.Connection, *, is_new: bool) -> None:
        """Stamp a new log with the format of its records. LogDamaged where another version wrote it."""
        if is_new:
            recorded.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        (version,) = recorded.execute("PRAGMA user_version").fetchone()
        if version != FORMAT_VERSION:
            raise LogDamaged(
                f"{self._path} holds records of format {version}, and this version reads format {FORMAT_VERSION}: move "
                f"{self._home} away and import its sources anew (`tally import`); nothing of it is changed"
            )

    def __str__(self) -> str:
        return str(self.folder)

    def follow(self) -> None:
        """Do nothing: every read checks whether the derived file is still the same."""

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        records: list[Record] = []
        for batch in _split_batches([check_draft(draft) for draft in drafts], READ_BYTES):
            with self._writing():
                records += [self._insert(topic, draft) for draft in batch]
        if topic is EVENTS:
            self._waker.wake()
        return records

    def insert(self, topic: Topic, records: Sequence[Record]) -> None:
        """Insert records of a partition with their offsets and times, for a copy: all or none.

        TallyError where another record has the place, or the one before it is missing."""
        with self._writing():
            for record in records:
                expected = tables.find_last(self._recorded, topic, record.partition)[0] + 1
                begins = expected == 0 and topic.days is not None  # what stood before it had its days
                if record.offset != expected and not begins:
                    raise TallyError(
                        f"{self} goes on at offset {expected} of {topic.name}, partition {record.partition}, and was "
                        f"to take the record at {record.offset}: somebody else appends there; end that first"
                    )
                tables.insert_record(self._recorded, topic, record)

    def close_with(self, topic: Topic, drafts: Sequence[Draft], moved_to: str) -> None:
        """Append these drafts and close the log: it goes on at ``moved_to``, and every later append is refused. All or
        none."""
        with self._writing():
            for draft in drafts:
                self._insert(topic, check_draft(draft))
            self._recorded.execute("INSERT INTO closed VALUES (?)", (moved_to,))

    def went(self) -> str | None:
        """Return where a closed log goes on; None where the log is open."""
        with tables.database_errors(self._recorded):
            row = self._recorded.execute("SELECT went FROM closed").fetchone()
        return str(row[0]) if row else None

    def read(self, topic: Topic, partition: int, offset: int, max_bytes: int = READ_BYTES) -> list[Record]:
        connection = self._connection(topic)
        return tables.select_records(connection, topic, partition, offset, max_bytes) if connection else []

    def end(self, topic: Topic, partition: int) -> int:
        connection = self._connection(topic)
        return tables.find_last(connection, topic, partition)[0] + 1 if connection else 0

    def ends(self, topic: Topic) -> list[int]:
        return [self.end(topic, partition) for partition in range(topic.partitions)]

    def last(self, topic: Topic, partition: int) -> Record | None:
        end = self.end(topic, partition)
        records = self.read(topic, partition, end - 1, max_bytes=1) if end else []
        return records[0] if records else None

    def close(self) -> None:
        self._recorded.close()
        if self._derived:
            self._derived[1].close()

    def accept_past(self) -> None:
        """Accept appends from here on although more was derived than the log holds: for a rebuild that derived
        everything again from the log as it is."""
        self._is_checked = True

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with locked(self.folder / "recorded.lock"):
            self._check_file()
            if not self._is_checked:
                self._check_past()
                self._is_checked = True
            with self._transaction():
                yield

    def _check_file(self) -> None:
        """LogDamaged where another file is in the place of the open one: what is appended would be lost."""
        try:
            inode = self._path.stat().st_ino
        except OSError:
            inode = -1
        if inode != self._inode:
            raise LogDamaged(
                f"{self._path} was deleted or replaced while this process had it open, and takes nothing from it: "
                "put it back if it is lost, and start this process again"
            )

    def _check_past(self) -> None:
        """LogDamaged where more was derived than the log holds: it was cut, or restored from an older copy."""
        for partition in range(EVENTS.partitions):
            try:
                entry = self.last(ENTRIES, partition)
                cause = (entry.cause_offset, entry.headers[envelope.CAUSE_HASH]) if entry else None
            except (TallyError, KeyError, ValueError):  # then the folds say so, and recording goes on
                continue
            if cause is None:
                continue
            records = self.read(EVENTS, partition, cause[0], max_bytes=1)
            if not records or records[0].offset != cause[0] or records[0].digest() != cause[1]:
                raise LogDamaged(
                    f"{self._path} no longer holds the record at partition {partition}, offset {cause[0]}, from which "
                    "more was derived: it was cut, or restored from an older copy, and takes nothing; restore a newer "
                    "copy, or derive everything again from the log as it is (`tally rebuild`; docs/operations.md)"
                )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with transaction(self._recorded):
            if (moved_to := self.went()) is not None:
                raise LogClosed(
                    f"the log in {self} is closed and takes nothing more: it went to {moved_to}; set TALLY_LOG to "
                    "that, with the user and the options that its cluster wants"
                )
            yield

    def _insert(self, topic: Topic, draft: Draft) -> Record:
        offset, last_ms = tables.find_last(self._recorded, topic, draft.partition)
        now_ms = max(int(self._clock() * 1000), last_ms)
        record = Record(draft.partition, offset + 1, now_ms, draft.key, draft.headers, draft.value)
        tables.insert_record(self._recorded, topic, record)
        return record

    def _connection(self, topic: Topic) -> sqlite3.Connection | None:
        if topic.origin == "recorded":
            return self._recorded
        path = DERIVED.path(self._home)
        try:
            inode = path.stat().st_ino
        except FileNotFoundError:
            return None
        derived = self._derived
        if derived is None or derived[0] != inode:  # none yet, or it was deleted and is derived anew
            connection = tables.open_file(path, writes=False)
            if not tables.has_table(connection, topic):  # the folds are about to make their topics
                connection.close()
                return None
            # Another thread may still read from the connection before: that one ends with its last user.
            derived = self._derived = (inode, connection)
        return derived[1]


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all or nothing. TallyError for a full disk or an unreadable file; then nothing was written."""
    with tables.database_errors(connection), connection:  # it commits, or rolls back
        connection.execute("BEGIN IMMEDIATE")
        yield


def _has_entries(home: Path) -> bool:
    """Tell whether anything was derived in this home; False also where that cannot be read."""
    try:
        with closing(tables.open_file(DERIVED.path(home), writes=False)) as derived:
            return tables.has_table(derived, ENTRIES) and any(
                tables.find_last(derived, ENTRIES, partition)[0] >= 0 for partition in range(ENTRIES.partitions)
            )
    except TallyError:
        return False


def _split_batches(drafts: Sequence[Draft], max_bytes: int) -> Iterator[list[Draft]]:
    batch: list[Draft] = []
    batch_bytes = 0
    for draft in drafts:
        if batch and batch_bytes + len(draft.value) > max_bytes:
            yield batch
            batch, batch_bytes = [], 0
        batch.append(draft)
        batch_bytes += len(draft.value)
    if batch:
        yield batch
