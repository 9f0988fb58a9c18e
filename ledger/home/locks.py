"""The data folder of the embedded product: who holds which part of it, and where a part listens."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

from ledger.errors import TallyError
from ledger.home.files import make_folder, access_error

POLL_INTERVAL_S = 0.5
"""For how long a lock is tried: who looks whether a part runs holds the part's for a moment."""


def open_lock(path: Path) -> TextIOWrapper:
    """A lock's file, made where it is not there. TallyError where it cannot be opened."""
    make_folder(path.parent)
    try:
        return path.open("a")
    except OSError as error:
        raise access_error(path, error) from error


@contextmanager
def locked(path: Path, *, is_shared: bool = False) -> Iterator[None]:
    """Wait for a file's lock and hold it. The lock goes with the process, however that ends. TallyError where the file
    cannot be opened."""
    with open_lock(path) as file:
        fcntl.flock(file, fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX)
        yield


@contextmanager
def service_lock(home: Path, service: str) -> Iterator[None]:
    """Be the one process that runs this part of a home. TallyError where another one is."""
    path = home / "run" / f"{service}.lock"
    with open_lock(path) as file:
        if not _try_lock(file):
            raise TallyError(
                f"the {service} of {home} already runs in another process: stop that one, "
                "or set TALLY_HOME to another folder"
            )
        presence_file = home / "run" / f"{service}.json"
        _remove(presence_file)  # of one that was killed
        try:
            yield
        finally:
            _remove(presence_file)


@contextmanager
def shared_service_lock(home: Path, service: str) -> Iterator[str]:
    """Be one of the processes that run this part of a home; gives the name under which this one announces itself."""
    run = home / "run"
    with locked(run / f"{service}.lock", is_shared=True):
        for stale_file in run.glob(f"{service}.*.json"):  # of those that were killed
            if not is_running(home, stale_file.stem):
                stale_file.unlink(missing_ok=True)
                stale_file.with_suffix(".lock").unlink(missing_ok=True)
        name = f"{service}.{os.getpid()}"
        try:
            with service_lock(home, name):
                yield name
        finally:
            (run / f"{name}.lock").unlink(missing_ok=True)


def is_running(home: Path, service: str) -> bool:
    """Whether a process holds this part now."""
    path = home / "run" / f"{service}.lock"
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
        raise access_error(path, error) from error


def _try_lock(file: TextIOWrapper) -> bool:
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
