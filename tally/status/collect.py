"""Collect the status of a home."""

from contextlib import suppress
from typing import Any

from alerting.problems import find_troubles
from dashboards import page_list
from ledger.errors import FileDamaged, LogUnavailable, TallyError
from ledger.home.disk import bytes_in
from ledger.home.inspection import find_problems
from ledger.home.locks import is_running
from ledger.home.presence import find_any_presence
from ledger.log import Log
from ledger.settings import Settings
from tally.processes.service import PRODUCT, list_services
from tally.status.fold_rate import FoldRate
from tally.status.kafka_workers import list_workers
from tally.status.outcome_counts import count_outcomes, sum_unknown_usage
from tally.status.positions import PartitionPosition, read_positions

PAGES = {page.title.lower(): page.path for page in page_list.PAGES if page.is_in_menu}


def collect_status(settings: Settings, log: Log) -> dict[str, Any]:
    """Collect services, workers on Kafka, links to the pages, positions and lag (in total and by partition, the worst
    first), the folds' rate (null while they do not run), outcomes of all events and calls of unknown cost (null while
    the warehouse is unreachable), bytes on disk, and problems of the home's files. Stored offsets are null while no
    sink runs."""
    services = {service.name: _describe_service(settings, service.name) for service in list_services(settings)}
    url = services["dashboards"].get("url")
    fold_rate = _start_fold_rate(log) if services["streams"]["state"] == "running" else None
    positions, problem = _read_positions(settings, log)
    return {
        "home": str(settings.home.resolve()),
        "log": str(log),
        "services": services,
        "workers": list_workers(settings),
        "pages": {page: f"{url}/{path}" for page, path in PAGES.items()} if url else {},
        "records": _sum_positions(positions, stores=services["sink"]["state"] == "running"),
        "partitions": [_describe_partition(position) for position in positions],
        "events": _count_outcomes(settings),
        "unknown_usage": _sum_unknown_usage(settings),
        "bytes": {
            "log": bytes_in(settings.home / ("kafka" if settings.has_own_kafka else "log")),
            "warehouse": bytes_in(settings.home / "warehouse"),
            "logs": bytes_in(settings.home / "logs"),
        },
        "rate": _measure_fold_rate(fold_rate),
        "problems": [
            *find_problems(settings.home),
            *find_troubles(settings.home),
            *_list_service_problems(settings),
            *([problem] if problem else []),
        ],
    }


def _start_fold_rate(log: Log) -> FoldRate | None:
    with suppress(TallyError):  # a log that cannot be read is among the problems
        return FoldRate(log)
    return None


def _measure_fold_rate(fold_rate: FoldRate | None) -> dict[str, Any] | None:
    with suppress(TallyError):
        return fold_rate.measure() if fold_rate else None
    return None


def _read_positions(settings: Settings, log: Log) -> tuple[list[PartitionPosition], str | None]:
    """Return the positions of all partitions, the worst first, or none and the reason."""
    try:
        return sorted(read_positions(settings, log), key=lambda position: (-position.behind, position.partition)), None
    except LogUnavailable:
        raise  # without the log there is no status
    except TallyError as error:
        return [], str(error)


def _list_service_problems(settings: Settings) -> list[str]:
    """List the problems of services that wait for a repair by their user."""
    try:
        return list(((find_any_presence(settings, PRODUCT) or {}).get("problems") or {}).values())
    except TallyError:
        return []  # the damaged file is listed by itself


def _describe_service(settings: Settings, name: str) -> dict[str, Any]:
    try:
        facts = find_any_presence(settings, name)
    except FileDamaged as error:
        return {"state": "running, address unknown", "problem": str(error)}
    if facts is not None:
        return {"state": "running", **facts}
    return {"state": "starting" if is_running(settings.home, name) else "not running"}


def _sum_positions(positions: list[PartitionPosition], *, stores: bool) -> dict[str, Any]:
    return {
        "recorded": sum(position.recorded for position in positions),
        "folded": sum(position.folded for position in positions),
        "stored": sum(position.stored or 0 for position in positions) if stores else None,
        "behind": sum(position.behind for position in positions),
    }


def _describe_partition(position: PartitionPosition) -> dict[str, Any]:
    return {
        "partition": position.partition, "recorded": position.recorded, "folded": position.folded,
        "stored": position.stored, "lag": position.lag,
    }  # fmt: skip


def _count_outcomes(settings: Settings) -> dict[str, int] | None:
    with suppress(TallyError):
        return count_outcomes(settings)
    return None


def _sum_unknown_usage(settings: Settings) -> dict[str, Any] | None:
    with suppress(TallyError):
        return sum_unknown_usage(settings)
    return None
