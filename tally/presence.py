"""Which parts of a home are there now, whoever started them."""

import fcntl
from typing import Any

from ledger.home import open_lock, read_presence
from ledger.settings import Settings


def lives(settings: Settings, name: str) -> bool:
    """Whether a process holds this part, alone or (several sinks may run) beside others."""
    path = settings.run / f"{name}.lock"
    if not path.exists():
        return False
    with open_lock(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def ready(settings: Settings, name: str) -> dict[str, Any] | None:
    """What a running part said of itself, of several the first; None while none runs or is ready. FileDamaged."""
    return next(iter(each(settings, name)), None)


def each(settings: Settings, name: str) -> list[dict[str, Any]]:
    """What each process that runs this part said of itself. Of some parts there may be several. FileDamaged."""
    if not lives(settings, name):
        return []
    several = [path.stem for path in sorted(settings.run.glob(f"{name}.*.json"))]
    names = [name, *(one for one in several if lives(settings, one))]
    return [facts for one in names if (facts := read_presence(settings.home, one)) is not None]
