"""Persons: the name behind each pseudonym, in a small table beside the log, readable by the home's owner alone.

The log holds only pseudonyms of persons, so a name can be erased without touching it."""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ledger.errors import TallyError
from ledger.home.files import create_private, database_errors
from ledger.home.layout import PERSONS

MAX_REMEMBERED_NAMES = 100_000
"""Pseudonyms that a process remembers, so that each name is written once and not with every call."""


_SCHEMA = """CREATE TABLE IF NOT EXISTS persons (
    organization TEXT, pseudonym TEXT, name TEXT, PRIMARY KEY (organization, pseudonym)
) WITHOUT ROWID"""


class Persons:
    """The table of a home. Several processes may write. An erased name is not stored again."""

    def __init__(self, home: Path) -> None:
        self._home, self._path = home, PERSONS.path(home).absolute()
        self._reported: str | None = None
        self._remembered: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None

    def remember(self, organization: str, pseudonym: str, name: str) -> None:
        """Store a name that the intake has seen. Where the table cannot be written the name is not stored, and the
        event enters all the same, under the pseudonym."""
        with self._lock:
            if (organization, pseudonym) in self._remembered:
                return
            try:
                with self._database() as db:
                    db.execute("INSERT OR IGNORE INTO persons VALUES (?, ?, ?)", (organization, pseudonym, name))
            except TallyError as error:
                if str(error) != self._reported:  # once, not with every name
                    print(f"names of persons are not kept now: {error}", flush=True)
                self._reported = str(error)
                return
            self._reported = None
            if len(self._remembered) >= MAX_REMEMBERED_NAMES:
                self._remembered.clear()
            self._remembered.add((organization, pseudonym))

    def erase(self, organization: str, pseudonym: str) -> bool:
        """Erase a name, and tell whether it was known. A file may hold it until :meth:`overwrite_erased` returns
        nothing. TallyError where the table cannot be written."""
        with self._lock, self._database() as db:
            was_known = self._select_name(db, organization, pseudonym) is not None
            db.execute("INSERT OR REPLACE INTO persons VALUES (?, ?, NULL)", (organization, pseudonym))
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or the old page would stand in the journal
            return was_known

    def is_listed(self, organization: str, pseudonym: str) -> bool:
        """Tell whether a name is known, or was erased."""
        sql = "SELECT 1 FROM persons WHERE organization = ? AND pseudonym = ?"
        with self._lock, self._database() as db:
            return db.execute(sql, (organization, pseudonym)).fetchone() is not None

    def overwrite_erased(self, pseudonym: str, name: str | None) -> tuple[str, ...]:
        """Overwrite erased names, and list what still holds ``name``: nothing where it is erased for good. Call it
        again when that has ended. Without ``name`` no file is searched for it."""
        with self._lock, self._database() as db:
            holders = self._overwrite(db)
            self._close()  # reading the file beside the connection would drop SQLite's locks
            holders += self._find_traces(pseudonym, name)
        return tuple(holders + self._find_readers() if holders else holders)

    def _overwrite(self, db: sqlite3.Connection) -> list[str]:
        """Rewrite the table without deleted rows and empty the journal. List what prevents it."""
        try:
            db.execute("PRAGMA temp_store=MEMORY")  # or the copy would leave the names in a temporary file
            db.execute("VACUUM")
            busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as error:
            return [f"{self._path} is in use ({error})"]
        journal = self._path_with("-wal")
        if busy or (journal.exists() and journal.stat().st_size):
            return [f"{journal} cannot be emptied, since a reader has not ended"]
        return []

    def _find_traces(self, pseudonym: str, name: str | None) -> list[str]:
        """List the files that hold the name behind the end of its pseudonym, as its row had them: the name alone may be
        a word of the table's own, or another organization's person. The beginning of a long name is enough, as its rest
        lies on another page."""
        if name is None:
            return []
        row = pseudonym.encode()[-8:] + name.encode()[:100]
        files = [self._path_with(suffix) for suffix in ("", "-wal", "-shm")]
        holders = [file for file in files if file.exists() and row in file.read_bytes()]
        return [f"{file} still holds the name" for file in holders]

    def _find_readers(self) -> list[str]:
        """List other processes that have the table open, where the system tells."""
        files = {str(self._path_with(suffix).resolve()) for suffix in ("", "-wal")}
        readers = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # another user's, or it has ended
                open_files = {str(descriptor.readlink()) for descriptor in (process / "fd").iterdir()}
                if open_files & files and int(process.name) != os.getpid():
                    readers.append(f"process {process.name} ({(process / 'comm').read_text().strip()}) has it open")
        return readers

    def _path_with(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def find_names(self, organization: str, pseudonyms: Iterable[str]) -> dict[str, str]:
        """Return the known names of these pseudonyms. TallyError where the table cannot be read."""
        if not self._path.exists():
            return {}
        with self._lock, self._database() as db:
            names = {pseudonym: self._select_name(db, organization, pseudonym) for pseudonym in pseudonyms}
        return {pseudonym: name for pseudonym, name in names.items() if name is not None}

    def list_persons(self, organization: str | None, limit: int) -> list[tuple[str, str, str | None]]:
        """List organization, pseudonym and name; the name is None where it was erased. TallyError where the table
        cannot be read."""
        if not self._path.exists():
            return []
        with self._lock, self._database() as db:
            return db.execute(
                "SELECT * FROM persons WHERE ?1 IS NULL OR organization = ?1 ORDER BY organization, name LIMIT ?2",
                (organization, limit),
            ).fetchall()

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Open the table. After a failure it is opened anew, as the file may be another one by then."""
        try:
            with database_errors(self._home, PERSONS):
                yield self._open()
        except TallyError:
            self._close()
            raise

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            create_private(self._path)
            self._db = sqlite3.connect(self._path, isolation_level=None, timeout=1, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")  # a name is not worth a sync
            self._db.execute("PRAGMA secure_delete=ON")  # what is erased is overwritten
            self._db.execute(_SCHEMA)
        return self._db

    @staticmethod
    def _select_name(db: sqlite3.Connection, organization: str, pseudonym: str) -> str | None:
        row = db.execute(
            "SELECT name FROM persons WHERE organization = ? AND pseudonym = ?", (organization, pseudonym)
        ).fetchone()
        return row[0] if row else None


def has_persons(home: Path, organization: str) -> bool:
    """Tell whether the home knows pseudonyms of an organization; False also where the table cannot be read."""
    persons = Persons(home)
    try:
        return bool(persons.list_persons(organization, 1))
    except TallyError:
        return False
    finally:
        persons.close()
