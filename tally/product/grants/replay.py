"""Replay past calls under proposed grants: each is an ask of what it used, answered by the code that answers asks.
Nothing is written.

The grants begin with the period, with nothing used. A refused call costs nothing and counts nothing; what was called
again in its place is a call of its own, and stays.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from msgspec.structs import replace

from ingest.intake.intake import Intake, pseudonym_secret_name
from ledger.home.secrets import read_secret
from ledger.log import Log, Record, partition_of
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from streams.folds import rating
from streams.folds.emit import Emit
from streams.folds.entry import Documents
from streams.folds.event import EPOCH, Event
from streams.folds.grants.admission import MODELS, Ask, Decision, Price, decide
from streams.folds.grants.grant_fold import FOLD, change_tree, read_amounts
from streams.folds.grants.limits import Amounts
from streams.folds.grants.tree import list_holdings, load_grant
from streams.folds.grants.uses import UsedCall, settle
from streams.folds.state import State
from streams.runtime import read_catalogues
from tally.log.partition_copy import PartitionCopy
from tally.product.grants.declaration import ORGANIZATION, DeclaredGrant, build_event, seal_grants
from tally.product.grants.history import INEFFECTIVE
from tally.product.grants.past_calls import PastCall, PastCalls
from tally.product.grants.plan import sort_declared
from tallystick.vocabulary.controls.grants import GrantCreated

Progress = Callable[[int], object]
Reprice = Callable[[PastCall, str | None], Amounts]
"""The worth of a past call had it been made with another model."""


@dataclass
class Group:
    """Calls to which one grant gave one answer for one reason: how many, the first and the last, and what they cost
    less, in pico by currency. ``holder`` is whose calls these are; ``model`` is the cheaper one of a downgrade."""

    grant: str
    holder: str
    answer: str
    reason: str
    model: str | None = None
    calls: int = 0
    first_us: int = 0
    last_us: int = 0
    billed: Counter[str] = field(default_factory=Counter)
    notional: Counter[str] = field(default_factory=Counter)
    unknown_calls: int = 0

    def add(self, past_call: PastCall, saved: Amounts) -> None:
        if not self.calls:
            self.first_us = past_call.time_us
        self.last_us = past_call.time_us
        self.calls += past_call.calls
        if saved.currency is not None:
            self.billed[saved.currency] += saved.billed or 0
            self.notional[saved.currency] += saved.notional or 0
        self.unknown_calls += past_call.calls if saved.is_unknown else 0


@dataclass
class Report:
    """The answers to all calls of a period: ``allowed`` ones of all ``calls``; refused and downgraded ones, and
    those for which a limit that only warns had no room, are grouped."""

    start_us: int
    end_us: int
    calls: int = 0
    allowed: int = 0
    groups: dict[tuple[str | None, ...], Group] = field(default_factory=dict)

    def get_group(self, grant: str, holder: str, answer: str, reason: str, model: str | None = None) -> Group:
        key = (grant, holder, answer, reason, model)
        return self.groups.setdefault(key, Group(grant, holder, answer, reason, model))

    def list_groups(self, *answers: str) -> list[Group]:
        """List the groups of some answers, the first call first."""
        groups = [group for group in self.groups.values() if group.answer in answers]
        return sorted(groups, key=lambda group: (group.first_us, group.grant, group.holder, group.reason))


def replay_grants(
    log: Log, settings: Settings, declared: Sequence[DeclaredGrant], start: datetime, end: datetime,
    progress: Progress = lambda count: None,
) -> Report:  # fmt: skip
    """Replay the organization's calls of a period under the grants of a file, in place of those that it has. TallyError
    names the place of a grant that cannot be."""
    organization, partition = settings.organization, partition_of(settings.organization)
    intake = Intake(read_secret(settings.home, pseudonym_secret_name(organization)) or "", ("control",))
    start_us, end_us = ((moment - EPOCH) // timedelta(microseconds=1) for moment in (start, end))
    documents = read_catalogues(log)
    replayed = Replay(organization, start_us, end_us)
    replayed.give(seal_grants(sort_declared(declared, set()), intake, organization), documents)
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        copy = PartitionCopy(db, log, partition, documents)
        past_calls = PastCalls(db, organization, start_us, end_us)
        for count, derived in copy.fold(log.end(EVENTS, partition)):
            past_calls.add(derived)
            progress(count)
        return replayed.run(past_calls, _make_reprice(copy, organization, documents))


class Replay:
    """Grants in memory, and what they answer to past calls."""

    def __init__(self, organization: str, start_us: int, end_us: int) -> None:
        self._organization, self._state = organization, State()
        self._now_us = start_us
        self.report = Report(start_us, end_us)

    def give(self, declared: Sequence[DeclaredGrant], documents: Documents) -> None:
        """Give the grants of a file at the start, parents first. TallyError names the place of one that cannot be."""
        emit = self._make_emit()
        now = EPOCH + timedelta(microseconds=self._now_us)
        for number, grant in enumerate(declared):
            data = build_event(GrantCreated.control_type, grant.body, now, None, None, "", "")["data"]
            event = Event(number, self._organization, "control", "file", grant.name, self._now_us, data=data)
            change_tree(event, self._state, documents, emit)
            if emit.decisions[-1]["decision"] == INEFFECTIVE:
                raise grant.place.make_error(f"cannot be given at {now.isoformat()}: {emit.decisions[-1]['reason']}")

    def run(self, past_calls: Iterable[PastCall], reprice: Reprice) -> Report:
        """Ask for each call, and count it where it is allowed."""
        for past_call in past_calls:
            self._ask(past_call, reprice)
            self._state.take_changes()
        return self.report

    def _ask(self, past_call: PastCall, reprice: Reprice) -> None:
        self._pass_time(past_call.time_us)
        proposed = past_call.grant is not None and load_grant(self._state, self._organization, past_call.grant)
        offset, event_index = past_call.position
        ask = Ask(
            self._organization, f"{offset}-{event_index}", past_call.scopes, past_call.call, self._now_us + 1,
            past_call.grant if proposed else None,
        )  # fmt: skip

        @cache
        def price(model: str | None) -> Amounts:
            return past_call.amounts if model == past_call.call[MODELS] else reprice(past_call, model)

        decision = decide(self._state, ask, price, self._now_us)
        self.report.calls += past_call.calls
        self._record(past_call, decision, price)
        if decision.refusal is None:
            call = {**past_call.call, MODELS: decision.model}
            used_call = UsedCall(
                self._organization, past_call.position, past_call.time_us, past_call.scopes, call,
                price(decision.model), ask.grant, ask.admission,
            )  # fmt: skip
            settle(self._state, used_call, self._now_us)

    def _pass_time(self, time_us: int) -> None:
        self._now_us = max(self._now_us, time_us)
        assert FOLD.on_due is not None, "grants have what falls due"
        for due_us, key in self._state.take_due(self._now_us):
            FOLD.on_due(key, due_us, self._state, self._make_emit())

    def _record(self, past_call: PastCall, decision: Decision, price: Price) -> None:
        holder, refusal, amounts = self._describe_holder(past_call), decision.refusal, past_call.amounts
        if refusal is not None:
            reason = refusal.limit_key or " ".join(filter(None, (refusal.reason, refusal.detail)))
            self.report.get_group(refusal.grant, holder, decision.answer, reason).add(past_call, amounts)
            return
        self.report.allowed += past_call.calls
        if decision.answer == "downgrade":
            grants = ", ".join(decision.grants)
            difference = _subtract(amounts, price(decision.model))
            self.report.get_group(grants, holder, "downgrade", "", decision.model).add(past_call, difference)
        for name, limit_key in decision.warnings:
            self.report.get_group(name, holder, "warn", limit_key).add(past_call, Amounts())

    def _describe_holder(self, past_call: PastCall) -> str:
        holdings = [dimension for dimension, _ in list_holdings(self._state, self._organization, past_call.scopes)]
        scopes = [f"{name} {past_call.scopes[name]}" for name in holdings if name != ORGANIZATION]
        return ", ".join(scopes) or f"{ORGANIZATION} {self._organization}"

    def _make_emit(self) -> Emit:
        return Emit(Record(0, 0, self._now_us // 1000, "", {}, b""), self._now_us // 1000)


def _subtract(amounts: Amounts, cheaper: Amounts) -> Amounts:
    """Return what a call costs less with another model."""
    billed, notional = (
        (getattr(amounts, name) or 0) - (getattr(cheaper, name) or 0) for name in ("billed", "notional")
    )
    is_unknown = amounts.is_unknown or cheaper.is_unknown or amounts.currency != cheaper.currency
    return Amounts(billed, notional, None if is_unknown else amounts.currency, is_unknown=is_unknown)


def _make_reprice(copy: PartitionCopy, organization: str, documents: Documents) -> Reprice:
    """Make a function that rates a past call as one of another model, by the books in force now."""

    def reprice(past_call: PastCall, model: str | None) -> Amounts:
        event = copy.find_event(organization, past_call.source, past_call.id)
        if event is None or event.call is None:
            return past_call.amounts._replace(billed=None, notional=None, is_unknown=True)
        dimensions: Any = event.call.dimensions
        call = replace(event.call, dimensions=replace(dimensions, model=model, model_resolved=None))
        variant = replace(event, call=call)
        # At a position no commitment of a contract is used.
        entry = rating.rate_call(variant, call, copy.state, documents, copy.next_position)
        return read_amounts(variant, entry)

    return reprice
