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

ROOM = 1 << 20
"""A disk with less than so many bytes free is full."""

LOOK_S = 0.5
"""For how long a lock is tried: who looks whether a part runs holds the part's for a moment."""


def write_atomically(path: Path, content: str, mode: int = 0o644) -> None:
    """Replace a small file whole, so that a reader or a crash sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Wait for a file's lock and hold it. The lock goes with the process, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


@contextmanager
def only_one(home: Path, part: str) -> Iterator[None]:
    """Be the one process that runs this part of a home. TallyError where another one is."""
    path = home / "run" / f"{part}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if not _taken(file):
            raise TallyError(
                f"the {part} of {home} already runs in another process: stop that one, "
                "or set TALLY_HOME to another folder"
            )
        said = home / "run" / f"{part}.json"
        said.unlink(missing_ok=True)  # of one that was killed
        try:
            yield
        finally:
            said.unlink(missing_ok=True)


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
    with path.open("a") as file:
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
    write_atomically(home / "run" / f"{part}.json", json.dumps({"pid": os.getpid(), **facts}), 0o600)


def announced(home: Path, part: str) -> dict[str, Any] | None:
    """What a ready part said of itself; None while it does not run or is not ready."""
    if not runs(home, part):
        return None
    try:
        facts: dict[str, Any] = json.loads((home / "run" / f"{part}.json").read_text())
    except FileNotFoundError:
        return None
    return facts


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
