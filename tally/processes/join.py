"""Several commands in one home: the first starts the parts it needs, others join, the first waits for them.

For each part there are two locks. Who uses it holds ``<part>.users.lock`` shared, from *before* it looks
whether the part runs; who started it holds ``<part>.owner.lock``. At its end an owner waits until it gets the
users' lock for itself alone, so whoever joined has finished, and whoever comes then waits and finds the part
gone. Commands take parts in one order and give them back in the reverse, so none waits for one that waits for
it. ``tally up`` owns all its parts, for as long as it runs.
"""

import fcntl
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from io import TextIOWrapper
from pathlib import Path

from ledger.home.locks import open_lock
from ledger.home.presence import lives, ready
from ledger.settings import Settings
from tally.exit import Failure
from tally.processes.service import Child, Joined, Part, needs

PATIENCE_S = 1.0
"""After what time a wait is explained."""
GONE_S, LEAVING_S = 0.3, 5.0
"""How long a part whose owner was killed may be seen running: by who would join it, by who would own it."""


@contextmanager
def needing(settings: Settings, parts: Sequence[Part], *, own: bool = False) -> Iterator[list[Child | Joined]]:
    """Have these parts running: join those that run, start the others and stop them at the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(using(settings, part, own=own)) for part in parts]


@contextmanager
def using(settings: Settings, part: Part, *, own: bool = False, rests: bool = False) -> Iterator[Child | Joined]:
    """Have one part running. With ``own`` it must be ours: wait until another command's is gone. With ``rests`` one
    that ended instead of becoming ready is given as it is, and so is one that waits for a part that it needs: its
    supervisor starts it again."""
    begun = time.monotonic()
    explained = False
    while True:
        with ExitStack() as locks:
            users = locks.enter_context(closing(_flock(settings.run / f"{part.name}.users.lock", fcntl.LOCK_SH)))
            owner = _try(settings.run / f"{part.name}.owner.lock")
            if owner:
                locks.enter_context(closing(owner))
            waited = time.monotonic() - begun
            # What runs and belongs to no command was started by hand, unless its owner has just died.
            if not own and ready(settings, part.name) and (not owner or waited > GONE_S):
                if owner:
                    owner.close()
                yield Joined(settings, part)
                return
            if owner and (not lives(settings, part.name) or (own and waited > LEAVING_S)):
                yield from _owned(settings, part, users, leave=own, rests=rests)
                return
        if waited > PATIENCE_S and not explained:
            explained = True
            doing = "to finish with" if own else "to start or to leave"
            print(
                f"waiting for another tally command {doing} the {part.called} of {settings.home}",
                file=sys.stderr,
            )
        time.sleep(0.05)


@contextmanager
def owning(settings: Settings, parts: Sequence[Part]) -> Iterator[bool]:
    """Whether no command owns any of these parts; then none does meanwhile."""
    with ExitStack() as locks:
        owners = (_try(settings.run / f"{part.name}.owner.lock") for part in parts)
        yield all(one is not None and locks.enter_context(closing(one)) for one in owners)


def _owned(settings: Settings, part: Part, users: TextIOWrapper, *, leave: bool, rests: bool) -> Iterator[Child]:
    with ExitStack() as end:
        locks = end.enter_context(ExitStack())  # given back last
        child = Child(settings, part)
        end.callback(child.stop)
        if not rests or all(ready(settings, needed.name) for needed in needs(settings, part)):
            try:
                child.ready()
            except Failure:
                if not rests or child.lives():
                    raise
        try:
            yield child
        finally:
            users.close()
            if not leave and child.lives():
                locks.enter_context(closing(_alone(settings, part)))


def _alone(settings: Settings, part: Part) -> TextIOWrapper:
    path = settings.run / f"{part.name}.users.lock"
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if alone := _try(path):
            return alone
        time.sleep(0.02)
    print(
        f"done; another tally command still uses the {part.called}: waiting for it (Ctrl-C ends both)",
        file=sys.stderr,
    )
    return _flock(path, fcntl.LOCK_EX)


def _try(path: Path) -> TextIOWrapper | None:
    try:
        return _flock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


def _flock(path: Path, how: int) -> TextIOWrapper:
    file = open_lock(path)
    try:
        fcntl.flock(file, how)
    except BaseException:
        file.close()
        raise
    return file
