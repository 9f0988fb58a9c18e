"""The data folder of the embedded product: who holds which part of it, and where a part listens."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

from ledger.errors import TallyError
from ledger.home.files import make_folder, unusable

POLL_INTERVAL_S = 0.5
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


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unusable(path, error) from error


def _taken(file: TextIOWrapper) -> bool:
    deadline = time.monotonic() + POLL_INTERVAL_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True
