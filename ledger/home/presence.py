"""Which parts of a home run now, whoever started them, and what each announced of itself."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from ledger.home.files import read_json, write_atomically
from ledger.home.layout import PRESENCE
from ledger.home.locks import open_lock, is_running
from ledger.settings import Settings


def announce(home: Path, service: str, **facts: Any) -> None:
    """Say that a part is ready, and what others need to reach it. Readable by the owner alone."""
    write_atomically(home / "run" / f"{service}.json", json.dumps({"pid": os.getpid(), **facts}))


def find_presence(home: Path, service: str) -> dict[str, Any] | None:
    """What a ready part said of itself; None while it does not run or is not ready. FileDamaged."""
    return read_presence(home, service) if is_running(home, service) else None


def read_presence(home: Path, name: str) -> dict[str, Any] | None:
    """What stands in the file of a part that runs; None where there is none. FileDamaged where that says nothing."""
    return read_json(home, PRESENCE, _parse_presence, home / "run" / f"{name}.json")


def _parse_presence(content: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {**content, "pid": int(content["pid"])}
    if not isinstance(facts.get("url", ""), str):
        raise TypeError("its url is no text")
    return facts


def is_held(settings: Settings, service: str) -> bool:
    """Whether a process holds this part, alone or (several sinks may run) beside others."""
    path = settings.run / f"{service}.lock"
    if not path.exists():
        return False
    with open_lock(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def find_any_presence(settings: Settings, service: str) -> dict[str, Any] | None:
    """What a running part said of itself, of several the first; None while none runs or is ready. FileDamaged."""
    return next(iter(list_presences(settings, service)), None)


def list_presences(settings: Settings, service: str) -> list[dict[str, Any]]:
    """What each process that runs this part said of itself. Of some parts there may be several. FileDamaged."""
    if not is_held(settings, service):
        return []
    processes = [path.stem for path in sorted(settings.run.glob(f"{service}.*.json"))]
    names = [service, *(name for name in processes if is_held(settings, name))]
    return [facts for name in names if (facts := read_presence(settings.home, name)) is not None]
