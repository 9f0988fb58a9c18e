"""The data folder of the embedded product: who holds which part of it, and where a part listens."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from ledger.errors import TallyError
from ledger.files import make_folder, read_json, unusable, write_atomically
from ledger.layout import PRESENCE

__all__ = ["announce", "announced", "full", "locked", "one_of_several", "only_one", "runs", "write_atomically"]

ROOM = 1 << 20
"""A disk with less than so many bytes free is full."""

LOOK_S = 0.5
"""For how long a lock is tried: who looks whether a part runs holds the part's for a moment."""


def open_lock(path: Path) -> TextIOWrapper:
    """A lock's file, made where it is not there. TallyError where it cannot be opened."""
    make_folder(path.parent)
    try:
        return path.open("a")
    except OSError as error:
        raise unusable(path, error) from error


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Wait for a file's lock and hold it. The lock goes with the process, however that ends. TallyError where the file
    cannot be opened."""
    with open_lock(path) as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextmanager
def only_one(home: Path, part: str) -> Iterator[None]:
    """Be the one process that runs this part of a home. TallyError where another one is."""
    path = home / "run" / f"{part}.lock"
    with open_lock(path) as file:
        if not _taken(file):
            raise TallyError(
                f"the {part} of {home} already runs in another process: stop that one, "
                "or set TALLY_HOME to another folder"
            )
        said = home / "run" / f"{part}.json"
        _remove(said)  # of one that was killed
        try:
            yield
        finally:
            _remove(said)


@contextmanager
def one_of_several(home: Path, part: str) -> Iterator[str]:
    """Be one of the processes that run this part of a home; gives the name under which this one announces itself."""
    run = home / "run"
    with locked(run / f"{part}.lock", shared=True):
        for left in run.glob(f"{part}.*.json"):  # of those that were killed
            if not runs(home, left.stem):
                left.unlink(missing_ok=True)
                left.with_suffix(".lock").unlink(missing_ok=True)
        name = f"{part}.{os.getpid()}"
        try:
            with only_one(home, name):
                yield name
        finally:
            (run / f"{name}.lock").unlink(missing_ok=True)


def runs(home: Path, part: str) -> bool:
    """Whether a process holds this part now."""
    path = home / "run" / f"{part}.lock"
    if not path.exists():
        return False
    with open_lock(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def full(folder: Path) -> str | None:
    """A sentence where its disk has no room: what stops there often cannot say why itself."""
    return f"the disk of {folder} is full; free some space" if shutil.disk_usage(folder).free < ROOM else None


def announce(home: Path, part: str, **facts: Any) -> None:
    """Say that a part is ready, and what others need to reach it. Readable by the owner alone."""
    write_atomically(home / "run" / f"{part}.json", json.dumps({"pid": os.getpid(), **facts}))


def announced(home: Path, part: str) -> dict[str, Any] | None:
    """What a ready part said of itself; None while it does not run or is not ready. FileDamaged."""
    return read_presence(home, part) if runs(home, part) else None


def read_presence(home: Path, name: str) -> dict[str, Any] | None:
    """What stands in the file of a part that runs; None where there is none. FileDamaged where that says nothing."""
    return read_json(home, PRESENCE, _presence, home / "run" / f"{name}.json")


def _presence(content: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {**content, "pid": int(content["pid"])}
    if not isinstance(facts.get("url", ""), str):
        raise TypeError("its url is no text")
    return facts


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unusable(path, error) from error


def _taken(file: TextIOWrapper) -> bool:
    deadline = time.monotonic() + LOOK_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True
