"""Locks of a home: one process for each service, however a process ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

from ledger.errors import TallyError
from ledger.home.files import access_error, make_folder

LOCK_TIMEOUT_S = 0.5
"""Seconds for which a lock is tried: a process that checks whether a service runs holds its lock for a moment."""
CHECK_TIMEOUT_S = 0.002
"""Seconds for which a check tries the lock, since another process may check at the same moment."""


def open_lock(path: Path) -> TextIOWrapper:
    """Open a lock's file, and create it where it is missing. TallyError where it cannot be opened."""
    make_folder(path.parent)
    try:
        return path.open("a")
    except OSError as error:
        raise access_error(path, error) from error


@contextmanager
def locked(path: Path, *, is_shared: bool = False) -> Iterator[None]:
    """Wait for a file's lock and hold it. The system releases it when the process ends, however that ends. TallyError
    where the file cannot be opened."""
    with open_lock(path) as file:
        fcntl.flock(file, fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX)
        yield


@contextmanager
def service_lock(home: Path, service: str) -> Iterator[None]:
    """Be the only process that runs a service of a home. TallyError where another process runs it."""
    path = home / "run" / f"{service}.lock"
    with open_lock(path) as file:
        if not _try_lock(file, LOCK_TIMEOUT_S):
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
    """Be one of the processes that run a service of a home. Yields the name under which this process announces
    itself."""
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
    """Tell whether a process runs a service now, alone or (several sinks may run) beside others."""
    path = home / "run" / f"{service}.lock"
    if not path.exists():
        return False
    with open_lock(path) as file:
        return not _try_lock(file, CHECK_TIMEOUT_S)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise access_error(path, error) from error


def _try_lock(file: TextIOWrapper, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(timeout_s / 25)
        else:
            return True
