"""What a home is doing: the facts."""

from contextlib import suppress
from typing import Any

from alerting.problems import find_troubles
from ledger.errors import FileDamaged, LogUnavailable, TallyError
from ledger.home.disk import bytes_in
from ledger.home.inspection import problems
from ledger.home.presence import lives, ready
from ledger.log import Log
from ledger.settings import Settings
from tally.processes.service import PRODUCT, lasting
from tally.status.fold_rate import Pace
from tally.status.kafka_workers import workers
from tally.status.outcome_counts import counts
from tally.status.positions import Reached, reached

PAGES = {"overview": "", "budgets": "budgets", "runaways": "runaways", "trust": "trust", "start here": "start"}


def state(settings: Settings, log: Log) -> dict[str, Any]:
    """Parts, workers on Kafka, links to the pages, how far each stage is and lags (over all partitions, and by
    partition, the worst first), the folds' rate (null while they do not run), what became of all events (null while
    the warehouse is away), bytes on disk, and what is wrong with the home's files. What a sink stored is null while
    none runs."""
    parts = {part.name: _part(settings, part.name) for part in lasting(settings)}
    url = parts["dashboards"].get("url")
    pace = _pace(log) if parts["streams"]["state"] == "runs" else None
    at, problem = _reached(settings, log)
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
        "rate": _rate(pace),
        "problems": [
            *problems(settings.home),
            *find_troubles(settings.home),
            *_waiting_parts(settings),
            *([problem] if problem else []),
        ],
    }


def _pace(log: Log) -> Pace | None:
    with suppress(TallyError):  # what cannot be read is among the problems
        return Pace(log)
    return None


def _rate(pace: Pace | None) -> dict[str, Any] | None:
    with suppress(TallyError):
        return pace.measured() if pace else None
    return None


def _reached(settings: Settings, log: Log) -> tuple[list[Reached], str | None]:
    """How far each partition is, the worst first, and why that is not known where it is not."""
    try:
        return sorted(reached(settings, log), key=lambda one: (-one.behind, one.partition)), None
    except LogUnavailable:
        raise  # without it there is nothing to tell
    except TallyError as error:
        return [], str(error)


def _waiting_parts(settings: Settings) -> list[str]:
    """Why parts of a running product rest: what their user must do."""
    try:
        return list(((ready(settings, PRODUCT) or {}).get("problems") or {}).values())
    except TallyError:
        return []  # the file itself is told


def _part(settings: Settings, name: str) -> dict[str, Any]:
    try:
        facts = ready(settings, name)
    except FileDamaged as error:
        return {"state": "runs, and where is not known", "problem": str(error)}
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
