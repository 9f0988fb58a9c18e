"""Find damaged files of a home, each with its way out. Nothing is changed."""

import errno
import os
import shlex
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ledger.errors import TallyError
from ledger.home.files import access_error, damage_error, database_errors, read_json
from ledger.home.layout import (
    DELIVERIES,
    FILES,
    LOG_MARKER,
    PRESENCE,
    RECORDED,
    ROUTES,
    SWITCH,
    SWITCHING,
    TOKENS,
    HomeFile,
)
from ledger.home.presence import read_presence
from ledger.home.tokens import list_tokens

MAX_FILES_PER_PATTERN = 100
"""Files of one pattern that are checked."""


def find_problems(home: Path) -> list[str]:
    """Find all problems: other users' access, unreadable files, missing files."""
    return [*find_privacy_problems(home), *(str(error) for error in _find_file_problems(home))]


def find_privacy_problems(home: Path) -> list[str]:
    """Find whether other users may enter the home's folder, or it belongs to another user. A folder that nobody else
    may enter protects everything in it."""
    try:
        status = home.stat()
    except OSError:
        return []  # the code that needs the folder reports it
    problems = []
    if (mode := stat.S_IMODE(status.st_mode)) & 0o077:
        problems.append(
            f"other users of this machine may enter {home} (its mode is {mode:04o}): "
            f"chmod -R go-rwx {shlex.quote(str(home))}"
        )
    if status.st_uid != os.geteuid():
        problems.append(
            f"{home} belongs to the user {status.st_uid}, and this process is of {os.geteuid()}: run it as that one, "
            f"or chown -R {os.geteuid()} {shlex.quote(str(home))}"
        )
    return problems


def _find_file_problems(home: Path) -> Iterator[TallyError]:
    try:
        yield from _check_files(home)
    except OSError as error:  # a folder that this user may not enter
        yield access_error(Path(error.filename or home), error)


def _check_files(home: Path) -> Iterator[TallyError]:
    if LOG_MARKER.path(home).exists() and not (RECORDED.path(home).exists() and RECORDED.path(home).stat().st_size):
        yield damage_error(home, RECORDED, "it is gone or empty, and a log was begun here")
    for file in FILES:
        if file.kind not in ("json", "sqlite") or file in (ROUTES, DELIVERIES):  # the alerts look at their own
            continue
        for path in sorted(home.glob(file.pattern))[:MAX_FILES_PER_PATTERN]:
            if file is PRESENCE and path in (SWITCH.path(home), SWITCHING.path(home)):
                continue  # these have entries of their own
            try:
                _check_file(home, file, path)
            except TallyError as error:
                yield error


def _check_file(home: Path, file: HomeFile, path: Path) -> None:
    """Read a file as what it is. TallyError where that fails."""
    if file is TOKENS:
        list_tokens(home)
    elif file is PRESENCE:
        read_presence(home, path.stem)
    elif file.kind == "json":
        read_json(home, file, _parse_object, path)
    elif not path.is_file():
        raise access_error(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    elif path.stat().st_size == 0:
        raise damage_error(home, file, "it is empty", path)
    else:
        _check_database(home, file, path)


def _check_database(home: Path, file: HomeFile, path: Path) -> None:
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    with database_errors(home, file, path), closing(sqlite3.connect(address, uri=True, timeout=1)) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            with suppress(StopIteration):
                next(db.execute(f'SELECT 1 FROM "{table}" LIMIT 1'))


def _parse_object(content: Any) -> Any:
    if not isinstance(content, dict):
        raise TypeError("it holds no object")
    return content
