"""Which parts of a home are there now, whoever started them."""

import fcntl
import json
from contextlib import suppress
from typing import Any

from ledger.settings import Settings


def lives(settings: Settings, name: str) -> bool:
    """Whether a process holds this part, alone or (several sinks may run) beside others."""
    path = settings.run / f"{name}.lock"
    with suppress(FileNotFoundError), path.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def ready(settings: Settings, name: str) -> dict[str, Any] | None:
    """What a running part said of itself, of several the first; None while none runs or is ready."""
    return next(iter(each(settings, name)), None)


def each(settings: Settings, name: str) -> list[dict[str, Any]]:
    """What each process that runs this part said of itself. Of some parts there may be several."""
    if not lives(settings, name):
        return []
    several = [path.stem for path in sorted(settings.run.glob(f"{name}.*.json"))]
    names = [name, *(one for one in several if lives(settings, one))]
    return [facts for one in names if (facts := _said(settings, one)) is not None]


def _said(settings: Settings, name: str) -> dict[str, Any] | None:
    with suppress(FileNotFoundError):
        facts: dict[str, Any] = json.loads((settings.run / f"{name}.json").read_text())
        return facts
    return None
