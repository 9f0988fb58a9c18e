"""Services that run now in a home, and the facts that each announced."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.home.files import read_json, write_atomically
from ledger.home.layout import PRESENCE
from ledger.home.locks import is_running

if TYPE_CHECKING:  # a service that announces itself need not load what checks settings
    from ledger.settings import Settings


def announce(home: Path, service: str, **facts: Any) -> None:
    """Announce that a service is ready, with the facts that others need to reach it. Readable by the owner alone."""
    write_atomically(home / "run" / f"{service}.json", json.dumps({"pid": os.getpid(), **facts}))


def find_presence(home: Path, service: str) -> dict[str, Any] | None:
    """Return the facts that a ready service announced; None while it does not run or is not ready. FileDamaged."""
    return read_presence(home, service) if is_running(home, service) else None


def read_presence(home: Path, name: str) -> dict[str, Any] | None:
    """Read the facts in a service's file; None where there is no file. FileDamaged where it has another shape."""
    return read_json(home, PRESENCE, _parse_presence, home / "run" / f"{name}.json")


def _parse_presence(content: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {**content, "pid": int(content["pid"])}
    if not isinstance(facts.get("url", ""), str):
        raise TypeError("its url is no text")
    return facts


def find_any_presence(settings: "Settings", service: str) -> dict[str, Any] | None:
    """Return the facts that the first of a service's processes announced; None while none is ready. FileDamaged."""
    return next(iter(list_presences(settings, service)), None)


def list_presences(settings: "Settings", service: str) -> list[dict[str, Any]]:
    """List the facts that each process of a service announced. FileDamaged."""
    if not is_running(settings.home, service):
        return []
    processes = [path.stem for path in sorted(settings.run.glob(f"{service}.*.json"))]
    names = [service, *(name for name in processes if is_running(settings.home, name))]
    return [facts for name in names if (facts := read_presence(settings.home, name)) is not None]
