"""Which parts of a home are there now, whoever started them."""

import fcntl
import json
from contextlib import suppress
from pathlib import Path
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
    """What a running part said of itself; None while it does not run or is not ready."""
    return said(settings.home, name) if lives(settings, name) else None


def said(home: Path, name: str) -> dict[str, Any] | None:
    """What the part, or one that was killed before it, said last."""
    with suppress(FileNotFoundError):
        facts: dict[str, Any] = json.loads((home / "run" / f"{name}.json").read_text())
        return facts
    return None
