"""Files of a home: private to its owner, replaced whole, and errors that name the way out."""

import errno
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ledger.errors import FileDamaged, TallyError
from ledger.home.disk import OUT_OF_SPACE
from ledger.home.layout import HomeFile, find_home_file

Content = TypeVar("Content")

_SHAPE_ERRORS = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, msgspec.MsgspecError)
"""Exceptions that a reader raises for content of another shape."""
_ACCESS_CODES = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
_LOCK_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, each private to the owner. TallyError where that is impossible."""
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    except OSError as error:
        raise access_error(path, error) from error


def write_atomically(path: Path, content: str, mode: int = 0o600) -> None:
    """Replace a small file whole: a reader or a crash sees the old content or the new. TallyError where the disk is
    full or forbids it; the old content stays then."""
    make_folder(path.parent)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise access_error(path, error) from error


def read_json(home: Path, file: HomeFile, read: Callable[[Any], Content], path: Path | None = None) -> Content | None:
    """Read a JSON file of a home with ``read``, which raises for content of another shape; None where the file is
    missing. FileDamaged where it cannot be read. ``path`` is the file, where ``file`` is a pattern."""
    path = path or file.path(home)
    try:
        return read(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise access_error(path, error) from error
    except _SHAPE_ERRORS as error:
        reason = str(error) if isinstance(error, ValueError) else f"its content has another shape: {error!r}"
        raise damage_error(home, file, reason, path) from error


def create_private(path: Path) -> None:
    """Create a file that its owner alone may read, before a library creates it otherwise. TallyError.

    An existing file is not opened: closing it would drop SQLite's locks on it in this process, and the next process to
    leave would delete the journal that this one goes on writing to."""
    make_folder(path.parent)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise access_error(path, error) from error


def damage_error(home: Path, file: HomeFile, reason: str, path: Path | None = None) -> FileDamaged:
    """Make the error of a damaged file."""
    return FileDamaged(f"{path or file.path(home)} is damaged ({reason}): {file.way_out.format(home=home)}")


def access_error(path: Path, error: OSError) -> TallyError:
    """Make the error of a file or folder that the system does not let us use."""
    if error.errno in OUT_OF_SPACE:
        return TallyError(f"cannot write {path}: the disk is full; free some space and start again")
    if error.errno == errno.EISDIR and (match := find_home_file(path)) is not None:
        home, file = match
        return damage_error(home, file, "a folder is in its place: move that away", path)
    return TallyError(
        f"cannot use {path} ({error.strerror}): give the user of this process the right to read and write it, or set "
        "TALLY_HOME to a folder that it may write"
    )


def database_error(home: Path, file: HomeFile, error: sqlite3.Error, path: Path | None = None) -> TallyError:
    """Make the error of a SQLite file: damaged, forbidden, locked by another process, or on a full disk."""
    place = path or file.path(home)
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return TallyError(f"cannot write {place}: the disk is full; free some space and start again")
    if code in _ACCESS_CODES:
        return TallyError(
            f"cannot open {place} ({error}): give the user of this process the right to read and write it and its "
            "folder; where something else stands in its place, " + file.way_out.format(home=home)
        )
    if code in _LOCK_CODES:
        return TallyError(f"{place} is locked by another process ({error}): wait for its end, or end it")
    if code == sqlite3.SQLITE_IOERR:  # a disk that is full or quotas may say no more than this
        return TallyError(
            f"cannot read or write {place} ({error}): free some space, and check the disk; start again then"
        )
    return damage_error(home, file, str(error), path)


@contextmanager
def database_errors(home: Path, file: HomeFile, path: Path | None = None) -> Iterator[None]:
    """Turn errors of SQLite or the system into a TallyError with the way out."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a defect of ours
    except sqlite3.Error as error:
        raise database_error(home, file, error, path) from error
    except OSError as error:
        raise access_error(path or file.path(home), error) from error


def is_damage(error: BaseException | None) -> bool:
    """Tell whether an error means a damaged SQLite file, also where another error was raised from it."""
    while error is not None:
        if isinstance(error, sqlite3.DatabaseError):
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
        error = error.__cause__
    return False
