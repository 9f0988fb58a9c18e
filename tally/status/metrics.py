"""What the metrics are now: asked of the log, of the warehouse, and of what the parts say of themselves."""

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
from ledger.home.presence import ready
from ledger.log import Log
from ledger.metrics import Metric
from ledger.settings import Settings
from tally.processes.service import FEED, PRODUCT, lasting
from tally.status.outcome_counts import OUTCOMES, counts
from tally.status.positions import Reached, reached

Answer = TypeVar("Answer")
FRESH_S = 3.0
"""How old an answer may be."""
WAIT_S = 2.0
"""How long a scrape waits for one source."""


class Sample(NamedTuple):
    """One figure, with the values of its metric's labels."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


class Source(Generic[Answer]):
    """Something that is asked at most every ``FRESH_S``, by one thread at a time, and may be away or slow."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._known = threading.Condition()
        self._asking = False
        self._asked = -FRESH_S
        self._answer: Answer | None = None

    def answer(self) -> Answer | None:
        """None where it is away, or does not answer soon: the question goes on, and a later one has its answer."""
        with self._known:
            if time.monotonic() < self._asked + FRESH_S:
                return self._answer
            if not self._asking:
                self._asking = True
                threading.Thread(target=self._learn, daemon=True).start()
            self._known.wait_for(lambda: not self._asking, WAIT_S)
            return None if self._asking else self._answer

    def _learn(self) -> None:
        answer = None
        try:
            answer = self._ask()
        except (TallyError, OSError, sqlite3.Error) as error:
            print(f"absent from the metrics: {error}", flush=True)
        finally:
            with self._known:
                self._answer, self._asking, self._asked = answer, False, time.monotonic()
                self._known.notify_all()


class Measured:
    """The figures of a home."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = Source(lambda: _reached_now(settings, log))
        self._warehouse = Source(lambda: counts(settings))
        self._missing = Source(lambda: sequence_gaps.missing(settings.home))
        self._deliveries = Source(lambda: _told(settings))

    def samples(self) -> Iterator[Sample]:
        """All that is known now."""
        yield from self._of_parts()
        yield from self._deliveries.answer() or ()
        if (missing := self._missing.answer()) is not None:
            yield Sample(metrics.MISSING, (), missing)
        at = self._log.answer()
        yield Sample(metrics.LOG_UP, (), at is not None)
        for one in at or ():
            yield from _of_partition(one)
        counted = self._warehouse.answer()
        yield Sample(metrics.WAREHOUSE_UP, (), counted is not None)
        if counted is not None:
            yield Sample(metrics.RECEIVED, (), counted["received"])
            yield Sample(metrics.REJECTED, (), counted["rejected"])
            for outcome in OUTCOMES:
                yield Sample(metrics.EVENTS, (outcome,), counted[outcome])

    def _of_parts(self) -> Iterator[Sample]:
        restarts = (_presence(self._settings, PRODUCT) or {}).get("restarts", {})
        for part in lasting(self._settings):
            is_up = _presence(self._settings, part.name) is not None
            if part is not FEED or is_up or part.name in restarts:  # only the demo has a feed
                yield Sample(metrics.PART_UP, (part.name,), is_up)
        for name, times in restarts.items():
            yield Sample(metrics.PART_RESTARTS, (name,), times)


def _presence(settings: Settings, name: str) -> dict[str, Any] | None:
    """What a part says of itself; None also where that cannot be read, which `tally status` tells."""
    try:
        return ready(settings, name)
    except TallyError:
        return None


def _told(settings: Settings) -> list[Sample]:
    """Nothing where nobody was ever to be told."""
    if not (settings.home / FILE).exists():
        return []
    with closing(Deliveries(settings.home, writes=False)) as deliveries:
        states, oldest_ms = deliveries.counts(), deliveries.oldest_pending_ms()
    age_s = max(0.0, time.time() - oldest_ms / 1000) if oldest_ms else 0
    return [
        *(Sample(metrics.TELLINGS, (state,), states.get(state, 0)) for state in ("delivered", "given up")),
        Sample(metrics.TELLINGS_PENDING, (), states.get("pending", 0)),
        Sample(metrics.TELLINGS_AGE, (), age_s),
    ]


def _reached_now(settings: Settings, log: Log) -> list[Reached]:
    log.follow()
    return reached(settings, log)


def _of_partition(one: Reached) -> Iterator[Sample]:
    partition = str(one.partition)
    yield Sample(metrics.RECORDED, (partition,), one.recorded)
    yield Sample(metrics.FOLDED, (partition,), one.folded)
    if one.stored is not None:
        yield Sample(metrics.STORED, (partition,), one.stored)
    for stage, records in one.lag.items():
        yield Sample(metrics.LAG, (stage, partition), records)
