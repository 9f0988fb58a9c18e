"""What a home is doing: the facts."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from alerting.troubles import find_troubles
from ledger.errors import TallyError
from ledger.log import Log
from ledger.settings import Settings
from tally.counts import counts
from tally.pace import Pace
from tally.parts import lasting
from tally.positions import Reached, reached
from tally.presence import lives, ready
from tally.workers import workers

PAGES = {"overview": "", "budgets": "budgets", "runaways": "runaways", "trust": "trust", "start here": "start"}


def state(settings: Settings, log: Log) -> dict[str, Any]:
    """Parts, workers on Kafka, links to the pages, how far each stage is and lags (over all partitions, and by
    partition, the worst first), the folds' rate (null while they do not run), what became of all events (null while
    the warehouse is away), bytes on disk, and what is wrong with the alerts. What a sink stored is null while none
    runs."""
    parts = {part.name: _part(settings, part.name) for part in lasting(settings)}
    url = parts["dashboards"].get("url")
    pace = Pace(log) if parts["streams"]["state"] == "runs" else None
    at = sorted(reached(settings, log), key=lambda one: (-one.behind, one.partition))
    return {
        "home": str(settings.home.resolve()),
        "log": str(log),
        "parts": parts,
        "workers": workers(settings),
        "pages": {page: f"{url}/{path}" for page, path in PAGES.items()} if url else {},
        "records": _summed(at, stores=parts["sink"]["state"] == "runs"),
        "partitions": [_partition(one) for one in at],
        "events": _counts(settings),
        "bytes": {
            "log": bytes_in(settings.home / ("kafka" if settings.brings_kafka else "log")),
            "warehouse": bytes_in(settings.home / "warehouse"),
            "logs": bytes_in(settings.home / "logs"),
        },
        "alerts": find_troubles(settings.home),
        "rate": pace and pace.measured(),
    }


def _part(settings: Settings, name: str) -> dict[str, Any]:
    facts = ready(settings, name)
    if facts is not None:
        return {"state": "runs", **facts}
    return {"state": "is starting" if lives(settings, name) else "does not run"}


def _summed(at: list[Reached], *, stores: bool) -> dict[str, Any]:
    return {
        "recorded": sum(one.recorded for one in at),
        "folded": sum(one.folded for one in at),
        "stored": sum(one.stored or 0 for one in at) if stores else None,
        "behind": sum(one.behind for one in at),
    }


def _partition(one: Reached) -> dict[str, Any]:
    return {
        "partition": one.partition, "recorded": one.recorded, "folded": one.folded, "stored": one.stored,
        "lag": one.lag,
    }  # fmt: skip


def _counts(settings: Settings) -> dict[str, int] | None:
    with suppress(TallyError):
        return counts(settings)
    return None


def bytes_in(folder: Path) -> int:
    """That all files below it take on the disk (Kafka's are longer, with holes); 0 where there is none."""
    total = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # the warehouse merges while we look
                total += os.stat(os.path.join(inside, name)).st_blocks * 512  # noqa: PTH116, PTH118 (of many files)
    return total
