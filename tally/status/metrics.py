"""Collect the metrics, from the log, from the warehouse, and from the announcements of services."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Generic, NamedTuple, TypeVar

from alerting.delivery_store import FILE, Deliveries
from audit import sequence_gaps
from ledger import metrics
from ledger.errors import TallyError
from ledger.home.presence import find_any_presence
from ledger.log import Log
from ledger.metrics import Metric
from ledger.outcomes import OUTCOMES
from ledger.settings import Settings
from tally.processes.service import FEED, PRODUCT, list_services
from tally.status.outcome_counts import count_outcomes
from tally.status.positions import PartitionPosition, read_positions

Answer = TypeVar("Answer")
MAX_AGE_S = 3.0
"""Maximum age of an answer."""
ANSWER_TIMEOUT_S = 2.0
"""Maximum time that a scrape waits for one source."""


class Sample(NamedTuple):
    """One value of a metric, with the values of its labels."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


class Source(Generic[Answer]):
    """A source that is read at most every ``MAX_AGE_S``, by one thread at a time, and may be unreachable or slow."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._condition = threading.Condition()
        self._asking = False
        self._answered_at = -MAX_AGE_S
        self._answer: Answer | None = None

    def answer(self) -> Answer | None:
        """Return the answer; None where the source is unreachable, or slow: a later call then returns its answer."""
        with self._condition:
            if time.monotonic() < self._answered_at + MAX_AGE_S:
                return self._answer
            if not self._asking:
                self._asking = True
                threading.Thread(target=self._read, daemon=True).start()
            self._condition.wait_for(lambda: not self._asking, ANSWER_TIMEOUT_S)
            return None if self._asking else self._answer

    def _read(self) -> None:
        answer = None
        try:
            answer = self._ask()
        except (TallyError, OSError, sqlite3.Error) as error:
            print(f"omitted from the metrics: {error}", flush=True)
        finally:
            with self._condition:
                self._answer, self._asking, self._answered_at = answer, False, time.monotonic()
                self._condition.notify_all()


class HomeMetrics:
    """The metrics of a home."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = Source(lambda: _read_positions(settings, log))
        self._warehouse = Source(lambda: count_outcomes(settings))
        self._missing = Source(lambda: sequence_gaps.count_missing(settings.home))
        self._deliveries = Source(lambda: _sample_deliveries(settings))

    def samples(self) -> Iterator[Sample]:
        """Yield the present samples of all reachable sources."""
        yield from self._sample_services()
        yield from self._deliveries.answer() or ()
        if (missing := self._missing.answer()) is not None:
            yield Sample(metrics.MISSING, (), missing)
        positions = self._log.answer()
        yield Sample(metrics.LOG_UP, (), positions is not None)
        for position in positions or ():
            yield from _sample_partition(position)
        counts = self._warehouse.answer()
        yield Sample(metrics.WAREHOUSE_UP, (), counts is not None)
        if counts is not None:
            yield Sample(metrics.RECEIVED, (), counts["received"])
            yield Sample(metrics.REJECTED, (), counts["rejected"])
            for outcome in OUTCOMES:
                yield Sample(metrics.EVENTS, (outcome,), counts[outcome])

    def _sample_services(self) -> Iterator[Sample]:
        restarts = (_presence(self._settings, PRODUCT) or {}).get("restarts", {})
        for service in list_services(self._settings):
            is_up = _presence(self._settings, service.name) is not None
            if service is not FEED or is_up or service.name in restarts:  # only the demo runs a feed
                yield Sample(metrics.SERVICE_UP, (service.name,), is_up)
        for name, times in restarts.items():
            yield Sample(metrics.SERVICE_RESTARTS, (name,), times)


def _presence(settings: Settings, name: str) -> dict[str, Any] | None:
    """Read a service's announcement; None also where it is damaged, which `tally status` reports."""
    try:
        return find_any_presence(settings, name)
    except TallyError:
        return None


def _sample_deliveries(settings: Settings) -> list[Sample]:
    """Sample the deliveries of alerts; none where there never was a route."""
    if not (settings.home / FILE).exists():
        return []
    with closing(Deliveries(settings.home, writes=False)) as deliveries:
        states, oldest_ms = deliveries.count_by_state(), deliveries.oldest_pending_ms(time.time_ns() // 1_000_000)
    age_s = max(0.0, time.time() - oldest_ms / 1000) if oldest_ms else 0
    return [
        *(Sample(metrics.DELIVERIES, (state,), states.get(state, 0)) for state in ("delivered", "given up")),
        Sample(metrics.DELIVERIES_PENDING, (), states.get("pending", 0)),
        Sample(metrics.OLDEST_PENDING_DELIVERY, (), age_s),
    ]


def _read_positions(settings: Settings, log: Log) -> list[PartitionPosition]:
    log.follow()
    return read_positions(settings, log)


def _sample_partition(position: PartitionPosition) -> Iterator[Sample]:
    partition = str(position.partition)
    yield Sample(metrics.RECORDED_OFFSET, (partition,), position.recorded)
    yield Sample(metrics.FOLD_OFFSET, (partition,), position.folded)
    if position.stored is not None:
        yield Sample(metrics.STORED_OFFSET, (partition,), position.stored)
    for stage, records in position.lag.items():
        yield Sample(metrics.LAG, (stage, partition), records)
