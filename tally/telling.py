"""What a home is doing: the facts, and how they are shown."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from ledger.log import Log
from ledger.settings import Settings
from tally.output import out, size, table
from tally.parts import lasting
from tally.positions import reached
from tally.presence import lives, ready

PAGES = {"overview": "", "trust": "trust"}


def state(settings: Settings, log: Log) -> dict[str, Any]:
    """Parts, links to the pages, positions summed over the partitions (``stored`` is null while no sink
    runs), and bytes on disk."""
    parts = {part.name: _part(settings, part.name) for part in lasting(settings)}
    url = parts["dashboards"].get("url")
    at = reached(settings, log)
    return {
        "home": str(settings.home.resolve()),
        "log": str(log),
        "parts": parts,
        "pages": {page: f"{url}/{path}" for page, path in PAGES.items()} if url else {},
        "records": {
            "recorded": sum(one.recorded for one in at),
            "folded": sum(one.folded for one in at),
            "stored": sum(one.stored or 0 for one in at) if parts["sink"]["state"] == "runs" else None,
            "behind": sum(one.behind for one in at),
        },
        "bytes": {name: _bytes(settings.home / name) for name in ("log", "warehouse", "logs")},
    }


def show(found: dict[str, Any]) -> None:
    """The same for people."""
    out.print(found["home"], style="bold", markup=False)
    shown = table("part", "state", "address", "user", "password")
    for name, part in found["parts"].items():
        shown.add_row(name, part["state"], *(part.get(key, "") for key in ("url", "user", "password")))
    out.print(shown)
    for page, link in found["pages"].items():
        out.print(f"{page}: {link}")
    records = found["records"]
    stored = "no sink runs to store them" if records["stored"] is None else f"{records['stored']:,} stored"
    out.print(f"log: {found['log']}", markup=False)
    out.print(f"records: {records['recorded']:,} on the log, {records['folded']:,} folded, {stored}")
    out.print("disk: " + ", ".join(f"{name} {size(count)}" for name, count in found["bytes"].items()))


def _part(settings: Settings, name: str) -> dict[str, Any]:
    facts = ready(settings, name)
    if facts is not None:
        return {"state": "runs", **facts}
    return {"state": "is starting" if lives(settings, name) else "does not run"}


def _bytes(folder: Path) -> int:
    total = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # the warehouse merges while we look
                total += os.stat(os.path.join(inside, name)).st_size  # noqa: PTH116, PTH118 (of many files)
    return total
