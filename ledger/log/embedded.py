"""The embedded transport: what is recorded and what is derived in a SQLite file each."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ledger.errors import LogClosed, TallyError
from ledger.home import locked
from ledger.log import READ_BYTES, Draft, Record, sqlite
from ledger.log.record import checked
from ledger.topics import TOPICS, Topic


class EmbeddedLog:
    """Many processes append and read. Each append holds a file lock for at most a mebibyte: SQLite's own lock
    is unfair, and small writers starve beside bulk ones."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.time, *, generation: int | None = None) -> None:
        """``generation`` is the one that is made in this home."""
        self.generation = generation
        self.folder = home / "log"
        self._clock = clock
        recorded = [topic for topic in TOPICS if topic.origin == "recorded"]
        with locked(self.folder / "recorded.lock"):
            self._recorded = sqlite.open_file(self.folder / "recorded.db", writes=True)
            sqlite.create(self._recorded, recorded)
            # Not told by the last records: a copy that came here from elsewhere ends with the same ones, and goes on.
            self._recorded.execute("CREATE TABLE IF NOT EXISTS closed (went TEXT)")
        self._derived: tuple[int, sqlite3.Connection] | None = None  # by its file's inode

    def __str__(self) -> str:
        return str(self.folder)

    def follow(self) -> None:
        """Every read does: it looks whether the file is still the same."""

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        written: list[Record] = []
        for some in _within([checked(draft) for draft in drafts], READ_BYTES):
            with self._writing():
                written += [self._insert(topic, draft) for draft in some]
        return written

    def insert(self, topic: Topic, records: Sequence[Record]) -> None:
        """Take records of a partition as they stand, each with its offset and time: for a copy. All or none.

        TallyError where another record has the place, or the one before it lacks.
        """
        with self._writing():
            for record in records:
                expected = sqlite.last(self._recorded, topic, record.partition)[0] + 1
                begins = expected == 0 and topic.days is not None  # what stood before it had its days
                if record.offset != expected and not begins:
                    raise TallyError(
                        f"{self} goes on at offset {expected} of {topic.name}, partition {record.partition}, and was "
                        f"to take the record at {record.offset}: somebody else appends there; end that first"
                    )
                sqlite.insert(self._recorded, topic, record)

    def end_with(self, topic: Topic, drafts: Sequence[Draft], went: str) -> None:
        """Append these, and refuse whatever would follow them: the log goes on elsewhere. All or none."""
        with self._writing():
            for draft in drafts:
                self._insert(topic, checked(draft))
            self._recorded.execute("INSERT INTO closed VALUES (?)", (went,))

    def went(self) -> str | None:
        """Where the log goes on that was closed here; None where it was not."""
        found = self._recorded.execute("SELECT went FROM closed").fetchone()
        return str(found[0]) if found else None

    def read(self, topic: Topic, partition: int, offset: int, max_bytes: int = READ_BYTES) -> list[Record]:
        connection = self._connection(topic)
        return sqlite.select(connection, topic, partition, offset, max_bytes) if connection else []

    def end(self, topic: Topic, partition: int) -> int:
        connection = self._connection(topic)
        return sqlite.last(connection, topic, partition)[0] + 1 if connection else 0

    def ends(self, topic: Topic) -> list[int]:
        return [self.end(topic, partition) for partition in range(topic.partitions)]

    def last(self, topic: Topic, partition: int) -> Record | None:
        end = self.end(topic, partition)
        found = self.read(topic, partition, end - 1, max_bytes=1) if end else []
        return found[0] if found else None

    def close(self) -> None:
        self._recorded.close()
        if self._derived:
            self._derived[1].close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with locked(self.folder / "recorded.lock"), transaction(self._recorded):
            if (went := self.went()) is not None:
                raise LogClosed(
                    f"the log in {self} is closed and takes nothing more: it went to {went}; set TALLY_LOG to that, "
                    "with the user and the options that its cluster wants"
                )
            yield

    def _insert(self, topic: Topic, draft: Draft) -> Record:
        offset, last_ms = sqlite.last(self._recorded, topic, draft.partition)
        now_ms = max(int(self._clock() * 1000), last_ms)
        record = Record(draft.partition, offset + 1, now_ms, draft.key, draft.headers, draft.value)
        sqlite.insert(self._recorded, topic, record)
        return record

    def _connection(self, topic: Topic) -> sqlite3.Connection | None:
        if topic.origin == "recorded":
            return self._recorded
        path = self.folder / "derived.db"
        try:
            file = path.stat().st_ino
        except FileNotFoundError:
            return None
        held = self._derived
        if held is None or held[0] != file:  # none yet, or it was deleted and is derived anew
            connection = sqlite.open_file(path, writes=False)
            if not sqlite.holds(connection, topic):  # the folds are about to make their topics
                connection.close()
                return None
            # Another thread may still read from the connection before: that one ends with its last user.
            held = self._derived = (file, connection)
        return held[1]


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. A full disk or an unreadable file is a TallyError, and nothing was written."""
    try:
        with connection:  # it commits, or rolls back
            connection.execute("BEGIN IMMEDIATE")
            yield
    except sqlite3.Error as error:
        raise TallyError(f"the log cannot be written: {error}; free some disk space or mend the folder") from error


def _within(drafts: Sequence[Draft], size: int) -> Iterator[list[Draft]]:
    some: list[Draft] = []
    held = 0
    for draft in drafts:
        if some and held + len(draft.value) > size:
            yield some
            some, held = [], 0
        some.append(draft)
        held += len(draft.value)
    if some:
        yield some
