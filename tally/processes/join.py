"""Several commands in one home: the first starts the services it needs, others join, the first waits for them.

Each service has two locks. A user holds ``<service>.users.lock`` shared, from *before* it checks whether the service
runs; the command that started it holds ``<service>.owner.lock``. Before an owner stops the service it waits for the
users' lock, exclusively, so all users have finished, and later commands wait and find the service stopped. Commands
take services in one order and release them in the reverse, so none waits for one that waits for it. ``tally up`` owns
all its services for as long as it runs.
"""

import fcntl
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from io import TextIOWrapper
from pathlib import Path

from ledger.home.locks import is_running, open_lock
from ledger.home.presence import find_any_presence
from ledger.settings import Settings
from tally.exit import Failure
from tally.processes.service import Child, Joined, Service, list_needed_services

EXPLAIN_AFTER_S = 1.0
"""Time after which a wait is explained."""
DEAD_OWNER_JOIN_S, DEAD_OWNER_TAKEOVER_S = 0.3, 5.0
"""Maximum time that the service of a killed owner still runs: before it is joined, and before it is replaced."""


@contextmanager
def needing(
    settings: Settings, services: Sequence[Service], *, exclusive: bool = False
) -> Iterator[list[Child | Joined]]:
    """Keep services running: join those that run, start the others and stop them at the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(using(settings, service, exclusive=exclusive)) for service in services]


@contextmanager
def using(
    settings: Settings, service: Service, *, exclusive: bool = False, may_rest: bool = False
) -> Iterator[Child | Joined]:
    """Keep a service running. With ``exclusive`` this command must own it: wait until another command's has ended. With
    ``may_rest``, one that ended instead of becoming ready, or that waits for a service that it needs, is given as it
    is: its supervisor starts it again."""
    start = time.monotonic()
    explained = False
    while True:
        with ExitStack() as locks:
            users = locks.enter_context(closing(_flock(settings.run / f"{service.name}.users.lock", fcntl.LOCK_SH)))
            owner = _try_flock(settings.run / f"{service.name}.owner.lock")
            if owner:
                locks.enter_context(closing(owner))
            waited = time.monotonic() - start
            # A service without an owner was started by hand, unless its owner has just been killed.
            if (
                not exclusive
                and find_any_presence(settings, service.name)
                and (not owner or waited > DEAD_OWNER_JOIN_S)
            ):
                if owner:
                    owner.close()
                yield Joined(settings, service)
                return
            if owner and (
                not is_running(settings.home, service.name) or (exclusive and waited > DEAD_OWNER_TAKEOVER_S)
            ):
                yield from _run_owned(settings, service, users, exclusive=exclusive, may_rest=may_rest)
                return
        if waited > EXPLAIN_AFTER_S and not explained:
            explained = True
            expectation = "to finish with" if exclusive else "to start or to leave"
            print(
                f"waiting for another tally command {expectation} the {service.title} of {settings.home}",
                file=sys.stderr,
            )
        time.sleep(0.05)


@contextmanager
def owning(settings: Settings, services: Sequence[Service]) -> Iterator[bool]:
    """Try to own services: True where no command owns any of them, and none does meanwhile."""
    with ExitStack() as locks:
        owners = (_try_flock(settings.run / f"{service.name}.owner.lock") for service in services)
        yield all(lock is not None and locks.enter_context(closing(lock)) for lock in owners)


def _run_owned(
    settings: Settings, service: Service, users: TextIOWrapper, *, exclusive: bool, may_rest: bool
) -> Iterator[Child]:
    with ExitStack() as end:
        locks = end.enter_context(ExitStack())  # released last
        child = Child(settings, service)
        end.callback(child.stop)
        if not may_rest or all(
            find_any_presence(settings, need.name) for need in list_needed_services(settings, service)
        ):
            try:
                child.wait_until_ready()
            except Failure:
                if not may_rest or child.is_alive():
                    raise
        try:
            yield child
        finally:
            users.close()
            if not exclusive and child.is_alive():
                locks.enter_context(closing(_alone(settings, service)))


def _alone(settings: Settings, service: Service) -> TextIOWrapper:
    path = settings.run / f"{service.name}.users.lock"
    deadline = time.monotonic() + EXPLAIN_AFTER_S
    while time.monotonic() < deadline:
        if alone := _try_flock(path):
            return alone
        time.sleep(0.02)
    print(
        f"done; waiting for another tally command that uses the {service.title} (Ctrl-C ends both)",
        file=sys.stderr,
    )
    return _flock(path, fcntl.LOCK_EX)


def _try_flock(path: Path) -> TextIOWrapper | None:
    try:
        return _flock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


def _flock(path: Path, operation: int) -> TextIOWrapper:
    file = open_lock(path)
    try:
        fcntl.flock(file, operation)
    except BaseException:  # Ctrl-C during the wait, too
        file.close()
        raise
    return file
