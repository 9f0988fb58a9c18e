"""Replay a log under proposed rules of runaways, and under today's: what each would have found, and what it cost.
Nothing is written."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ingest.controls.runaway_rules import find_rules
from ledger.log import Log, partition_of
from ledger.log.topics import ALERTS, EVENTS
from ledger.money import pico
from ledger.runaway_rules import RunawayRules
from ledger.settings import Settings
from streams.folds.chain import Derived
from streams.folds.documents import Document
from streams.folds.entry import Documents
from streams.folds.event import EPOCH
from streams.folds.runaways.incident import PAGE
from streams.folds.runaways.thresholds import put_rules
from streams.runtime import read_catalogues
from tally.log.partition_copy import PartitionCopy

Progress = Callable[[int], object]
Alert = dict[str, Any]
SILENCE = timedelta(days=1)
"""A time without calls after which every runaway has ended."""
_decode = msgspec.json.Decoder().decode


@dataclass
class Runaway:
    """A runaway of the period: what it had cost when it became a page, and in the end, in pico by currency."""

    detector: str
    session: str
    agent: str | None
    raised_us: int
    calls: int = 0
    paged_us: int | None = None
    spent: dict[str, int] = field(default_factory=dict)
    spent_at_page: dict[str, int] = field(default_factory=dict)

    def add(self, alert: Alert) -> None:
        """Add what an alert tells of it."""
        self.calls = alert["calls"]
        self.spent = {currency: pico(amount) for currency, amount in alert["spent"].items()}
        if self.paged_us is None and alert["severity"] == PAGE:
            self.paged_us, self.spent_at_page = alert["last_us"], self.spent


@dataclass
class Found:
    """The runaways that rules find in a period, in the order in which they were raised."""

    rules: RunawayRules
    runaways: list[Runaway]

    @property
    def pages(self) -> list[Runaway]:
        return [runaway for runaway in self.runaways if runaway.paged_us is not None]

    @property
    def spent(self) -> Counter[str]:
        """Sum what the runaways cost."""
        return _sum_amounts(runaway.spent for runaway in self.runaways)

    @property
    def saved(self) -> Counter[str]:
        """Sum what they cost after they were pages: a stop at the page would have saved that."""
        return self.spent_on_pages - _sum_amounts(runaway.spent_at_page for runaway in self.pages)

    @property
    def spent_on_pages(self) -> Counter[str]:
        return _sum_amounts(runaway.spent for runaway in self.pages)


@dataclass
class Comparison:
    """Runaways of a period by today's rules, and by proposed ones."""

    today: Found
    proposed: Found


def replay_rules(
    log: Log, settings: Settings, rules: RunawayRules, start: datetime, end: datetime,
    progress: Progress = lambda count: None,
) -> Comparison:  # fmt: skip
    """Fold the organization's log under today's rules, and under proposed ones, and compare what they find."""
    adoption = find_rules(log, settings.organization)
    today = RunawayRules() if adoption is None else adoption.rules
    period = tuple((moment - EPOCH) // timedelta(microseconds=1) for moment in (start, end))
    today_found, proposed_found = (
        Found(judged, _find_runaways(_fold_log(log, settings.organization, judged, progress), settings, *period))
        for judged in (today, rules)
    )
    return Comparison(today_found, proposed_found)


def _fold_log(log: Log, organization: str, rules: RunawayRules, progress: Progress) -> Iterator[Derived]:
    """Fold the log to its end under rules that hold from its beginning, and stay; then let every runaway end."""
    partition = partition_of(organization)
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        copy = PartitionCopy(db, log, partition, _replace_rules(read_catalogues(log), rules))
        put_rules(organization, rules, copy.state)
        for count, derived in copy.fold(log.end(EVENTS, partition)):
            progress(count)
            yield derived
        yield copy.pass_time(SILENCE)


def _replace_rules(documents: Documents, rules: RunawayRules) -> Documents:
    """Return a lookup in which every document of rules is the one given."""

    def find_document(digest: str) -> Document:
        document = documents(digest)
        return rules if isinstance(document, RunawayRules) else document

    return find_document


def _find_runaways(folded: Iterable[Derived], settings: Settings, start_us: int, end_us: int) -> list[Runaway]:
    """Return the runaways of the organization that were raised within a period."""
    runaways: dict[str, Runaway] = {}
    for alert in _read_alerts(folded):
        if alert["organization"] != settings.organization:
            continue
        if alert["state"] == "raised" and start_us <= alert["last_us"] < end_us:
            runaways[alert["alert"]] = Runaway(
                alert["detector"], alert["session"], alert.get("agent"), alert["last_us"]
            )
        if alert["alert"] in runaways:
            runaways[alert["alert"]].add(alert)
    return list(runaways.values())


def _read_alerts(folded: Iterable[Derived]) -> Iterator[Alert]:
    for derived in folded:
        for topic, record in derived:
            if topic is ALERTS:
                yield from map(_decode, record.value.split(b"\n"))


def _sum_amounts(amounts: Iterable[dict[str, int]]) -> Counter[str]:
    total = Counter[str]()
    for by_currency in amounts:
        total.update(by_currency)
    return total
