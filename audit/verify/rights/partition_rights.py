"""The decisions on budgets, grants and requests that the log of a partition makes (docs/rules.md, R13, R18, R19)."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from audit.verify.pricing import GreatestPrices, Rated
from audit.verify.recompute import DUE_INDEX, MAX_AHEAD, JudgedLine, order_position
from audit.verify.rights.budgets import Budgets, Fact, Position, Spend
from audit.verify.rights.calls import Crossing, UsedCall, Uses, amend, settle, take_back
from audit.verify.rights.decisions import Cause, Decision
from audit.verify.rights.limits import Amounts, write_amount
from audit.verify.rights.organization_rights import OrganizationRights
from audit.verify.rights.requests import (
    answer_admission,
    answer_lease,
    describe_expiry,
    describe_settlement,
    read_call,
    read_scopes,
)
from audit.verify.rights.rooms import read_room
from audit.verify.rights.tree import Grant, create_grant, extend_grant, narrow_grant, revoke_grant
from audit.verify.rights.windows import EPOCH, read_time_us
from audit.verify.unknown_usage import is_free
from ledger.money import PICO
from ledger.outcomes import COUNTED, HELD, RELEASE, REPLACEMENT, RESTATEMENT, REVERSAL, REVISION
from ledger.token_classes import TOKEN_CLASSES

MAX_AHEAD_US = MAX_AHEAD // timedelta(microseconds=1)
UNKNOWN_PRICINGS = ("unknown", "unpriced", "partially_priced")
FREE = Amounts(0, 0, None, 0, 0)
BoundCall = Callable[[dict[str, Any], datetime, Position], Rated]
"""Bound the cost of a call at a time, by what is in force at a position."""
BoundPrices = Callable[[Mapping[str, Any], datetime, Position], GreatestPrices | None]
"""Return the greatest prices of calls in the same way; None where they have none."""


class Step(NamedTuple):
    """An entry that is taken back and the one in its place, or what else an event is."""

    reversed: JudgedLine | None
    added: JudgedLine | None

    @property
    def line(self) -> JudgedLine:
        line = self.added or self.reversed
        assert line is not None, "it has one"
        return line


class PartitionRights:
    """Decide what a partition's records make of rights, in the order of the log."""

    def __init__(self, bound_call: BoundCall, bound_prices: BoundPrices, database: sqlite3.Connection) -> None:
        self._bound_call = bound_call
        self._bound_prices = bound_prices
        self._budgets = Budgets()
        self._rights: dict[str, OrganizationRights] = {}
        self._uses = Uses(database)
        self._now_us = 0

    def dump_state(self) -> Any:
        """Return what the partition knows beside its uses, as JSON."""
        self._uses.forget(self._now_us)
        return {
            "now_us": self._now_us,
            "budgets": self._budgets.dump_state(),
            "rights": msgspec.to_builtins(self._rights, str_keys=True),
        }

    def load_state(self, state: Any) -> None:
        """Go on from a state, beside the uses that belong to it."""
        self._now_us = state["now_us"]
        self._budgets.load_state(state["budgets"])
        self._rights = msgspec.convert(state["rights"], dict[str, OrganizationRights], strict=False, str_keys=True)

    def decide(self, time_ms: int, offset: int, organization: str, lines: Iterable[JudgedLine]) -> Iterator[Decision]:
        """Yield the decisions of a record, from its judged lines."""
        self._now_us = max(self._now_us, time_ms * 1000)
        is_before_own = True
        for step in _list_steps(lines):
            line = step.line
            if line.event_index >= DUE_INDEX:
                if line.outcome == RELEASE and line.reason == HELD and line.time is not None:
                    yield from self._pass_time(_count_us(line.time) - MAX_AHEAD_US)
            elif is_before_own:
                yield from self._pass_time(self._now_us)
                is_before_own = False
            yield from self._take_step(step, offset, line.organization or organization)
        yield from self._pass_time(self._now_us)

    def _pass_time(self, until_us: int) -> Iterator[Decision]:
        yield from self._budgets.pass_time(until_us)
        for organization, rights in self._rights.items():
            for expiry in rights.pass_time(until_us, self._now_us):
                yield describe_expiry(Cause(organization), expiry)
            yield from self._tell_rearmings(rights)

    def _take_step(self, step: Step, offset: int, organization: str) -> Iterator[Decision]:
        line = step.line
        # The index of what falls due with a record lies before those of its own lines.
        event_index = line.event_index - 2 * DUE_INDEX if line.event_index >= DUE_INDEX else line.event_index
        cause = Cause(organization, event_index, line.source, line.id)
        place = offset, event_index
        is_new = line.outcome == COUNTED or (line.outcome == RELEASE and line.kind != "inference")
        if line.kind == "control" and is_new:
            yield from self._apply_control(cause, place, line.data)
        elif line.kind == "admission" and is_new:
            yield from answer_admission(
                self._load(organization), cause, line.data, self._make_bound(place), self._now_us
            )
        elif line.kind == "lease" and is_new:
            yield from answer_lease(
                self._load(organization), cause, line.data, self._make_price_bound(place), self._now_us
            )
        elif line.kind == "inference" and (step.reversed is not None or line.rated is not None):
            reversed_fact, added_fact = (
                None if side is None else _read_fact(side, cause, place) for side in (step.reversed, step.added)
            )
            yield from self._budgets.change(reversed_fact, added_fact, self._now_us)
            yield from self._change_call(step, cause, place)
        if organization in self._rights:
            yield from self._tell_rearmings(self._rights[organization])

    def _load(self, organization: str) -> OrganizationRights:
        return self._rights.setdefault(organization, OrganizationRights(organization))

    def _make_bound(self, place: Position) -> Callable[[dict[str, Any]], tuple[int | None, str | None]]:
        """Return a function that bounds the cost of a call which asks at a place."""
        now = EPOCH + timedelta(microseconds=self._now_us)

        def bound_cost(call: dict[str, Any]) -> tuple[int | None, str | None]:
            rated = self._bound_call(call, now, place)
            return None if rated.greatest_cost is None else _count_pico(rated.greatest_cost), rated.currency

        return bound_cost

    def _make_price_bound(self, place: Position) -> Callable[[Mapping[str, Any]], GreatestPrices | None]:
        """Return a function that tells the greatest prices of the calls of a lease that is asked for at a place."""
        now = EPOCH + timedelta(microseconds=self._now_us)
        return lambda fields: self._bound_prices(fields, now, place)

    def _apply_control(self, cause: Cause, place: Position, data: Mapping[str, Any]) -> Iterator[Decision]:
        control_type, body = data["control"], data["body"]
        if control_type == "budget.allocated":
            yield from self._budgets.allocate(cause, place, body, self._now_us)
        elif control_type == "budget.removed":
            yield from self._budgets.remove(cause, body)
        elif control_type.startswith("grant."):
            yield from self._change_tree(cause, control_type, data)

    def _change_tree(self, cause: Cause, control_type: str, data: Mapping[str, Any]) -> Iterator[Decision]:
        """Apply a record of a grant, and judge the limits that it leaves."""
        rights, body, now_us = self._load(cause.organization), data["body"], self._now_us
        effective_at, is_starting = data.get("effective_at"), control_type in ("grant.created", "grant.delegated")
        effective_us = now_us if effective_at is None else max(now_us, read_time_us(effective_at))
        grant = None
        if is_starting or effective_us <= now_us + MAX_AHEAD_US:
            grant = change_tree(rights, control_type, body, effective_us, now_us, data.get("actor"))
        if grant is None:
            yield cause.decide("control.ineffective", control_type=control_type)
            return
        origin = {name: data[name] for name in ("actor", "reason") if data.get(name) is not None}
        yield cause.decide(
            "control.applied", control_type=control_type, effective_us=effective_us if is_starting else now_us,
            known_us=now_us, body={**body, **origin},
        )  # fmt: skip
        for limit in grant.list_limits(now_us):
            meter = rights.read_meter(grant, limit, now_us)
            if thresholds := meter.change(limit):
                yield _describe_crossing(cause, Crossing(grant.name, limit, thresholds, meter.read_used(limit)))
            rights.watch(grant.name, limit, meter, now_us)

    def _change_call(self, step: Step, cause: Cause, place: Position) -> Iterator[Decision]:
        """Count the call of an entry in its grants, in place of what the entry before it counts."""
        rights = self._rights.get(cause.organization)
        if rights is None:
            return
        use, added = None, step.added
        if step.reversed is not None:
            use = take_back(rights, self._uses, _read_position(step.reversed, place), self._now_us)
        if added is None or added.rated is None or not added.is_in_windows or not rights.tree.scopes:
            return
        used_call = _read_call(added, added.rated, _read_position(added, place))
        if use is not None:
            settlement = amend(rights, self._uses, use, used_call, self._now_us)
        elif added.outcome == RESTATEMENT:
            return
        else:
            settlement = settle(rights, self._uses, used_call, self._now_us)
        if settlement.way != "unasked":
            yield describe_settlement(cause, str(used_call.admission), settlement)
        for crossing in settlement.crossings:
            yield _describe_crossing(cause, crossing)

    def _tell_rearmings(self, rights: OrganizationRights) -> Iterator[Decision]:
        for grant, limit, thresholds in rights.rearmings:
            amount = write_amount(limit.key, limit.amount)
            yield Cause(rights.organization).decide(
                "grant.rearmed", grant=grant, limit=limit.key, amount=amount, thresholds=thresholds
            )
        rights.rearmings.clear()


def change_tree(
    rights: OrganizationRights, control_type: str, body: Mapping[str, Any], starts_us: int, now_us: int,
    granted_by: str | None = None,
) -> Grant | None:  # fmt: skip
    """Change the tree by a record, and return the grant as it is then; None where the record has no effect."""
    tree = rights.tree
    if control_type in ("grant.created", "grant.delegated"):
        grant = create_grant(tree, body, starts_us, now_us, granted_by)
        is_possible = grant is not None and (control_type == "grant.created" or _is_delegable(rights, grant, now_us))
        return grant if grant is not None and is_possible and tree.add(grant, now_us) else None
    change = {"grant.narrowed": narrow_grant, "grant.extended": extend_grant, "grant.revoked": revoke_grant}
    grant = change[control_type](tree, body, now_us)
    if grant is not None:
        former = tree.grants[grant.name]
        for limit in former.list_limits(now_us):  # a limit that is changed first moves the clock
            rights.read_meter(former, limit, now_us)
        tree.put(grant)
    return grant


def _is_delegable(rights: OrganizationRights, grant: Grant, now_us: int) -> bool:
    """Tell whether those above a grant may give it on, and have left what it has."""
    path = rights.tree.list_path(grant.parent)
    if not path or not path[0].is_delegable:
        return False
    names = [above.name for above in path]
    for above, limit in rights.list_limits(names, now_us):
        if limit.key not in grant.limits or limit.window.kind != "total" or not limit.is_enforced:
            continue
        if grant.limits[limit.key].amount > read_room(rights, above, limit, names, now_us).left_amount:
            return False
    return True


def _list_steps(lines: Iterable[JudgedLine]) -> list[Step]:
    """Pair each entry that is taken back with the one in its place."""
    steps: list[Step] = []
    for line in lines:
        if line.outcome != REVERSAL:
            former = steps[-1] if steps else None
            is_replacing = (
                former is not None and former.added is None and former.line.reason not in (REVERSAL, REVISION)
            )
            if former is not None and is_replacing and line.outcome in (REPLACEMENT, RELEASE, RESTATEMENT):
                steps[-1] = former._replace(added=line)
            else:
                steps.append(Step(None, line))
        elif line.reason == REVISION:  # it stands behind the line that takes its place
            steps[-1] = steps[-1]._replace(reversed=line)
        else:
            steps.append(Step(line, None))
    return steps


def _read_fact(line: JudgedLine, cause: Cause, place: Position) -> Fact | None:
    """Read what an entry is to budgets; None where there is none, or no window holds it."""
    rated = line.rated
    if rated is None or line.time is None or not line.is_in_windows:
        return None
    sign = -1 if line.outcome == REVERSAL else 1
    billed = sign * sum(_count_pico(entry_line.billed_cost) for entry_line in rated.lines)
    spend, is_unpriced = Spend(billed), _has_unknown_spend(line.data, rated)
    if is_unpriced:
        greatest = None if rated.greatest_cost is None else sign * _count_pico(rated.greatest_cost)
        calls = line.data.get("calls") or 1
        tokens = sign * _count_unpriced_tokens(rated)
        spend = Spend(billed, greatest or 0, calls, tokens, calls if greatest is None else 0)
    return Fact(
        cause, _read_position(line, place), _count_us(line.time), spend, rated.currency, line.data, is_unpriced,
        line.outcome == RESTATEMENT,
    )  # fmt: skip


def _read_position(line: JudgedLine, place: Position) -> Position:
    """Return the position of the entry of a line: that of the one before where it takes it back or restates it."""
    if line.outcome in (REVERSAL, RESTATEMENT):
        assert line.original is not None, "it names the entry"
        return order_position(line.original)
    return place


def _read_call(line: JudgedLine, rated: Rated, position: Position) -> UsedCall:
    """Read what an entry is to grants."""
    assert line.time is not None, "an entry has one"
    data = line.data
    call = read_call(data)
    call["models"] = data.get("model") or data.get("model_resolved")
    return UsedCall(
        position, _count_us(line.time), read_scopes(data), call, _read_amounts(data, rated), data.get("grant"),
        data.get("admission"),
    )  # fmt: skip


def _read_amounts(data: Mapping[str, Any], rated: Rated) -> Amounts:
    if is_free(data):
        return FREE
    billed, notional = (
        sum(_count_pico(getattr(line, name)) for line in rated.lines) for name in ("billed_cost", "list_cost")
    )
    tokens: int | None = sum((data.get("tokens") or {}).values())
    greatest_cost, is_unpriced = None, rated.pricing in UNKNOWN_PRICINGS
    if is_unpriced:
        tokens = max(tokens or 0, _count_unpriced_tokens(rated)) or None
        greatest_cost = None if rated.greatest_cost is None else _count_pico(rated.greatest_cost)
    return Amounts(
        billed, notional, rated.currency, tokens, data.get("calls") or 1, greatest_cost, is_unpriced,
        data.get("payer") == "customer",
    )  # fmt: skip


def _has_unknown_spend(data: Mapping[str, Any], rated: Rated) -> bool:
    """Tell whether the spend of a call is not known. That of a customer's own key is."""
    return rated.pricing in UNKNOWN_PRICINGS and data.get("payer") != "customer"


def _count_unpriced_tokens(rated: Rated) -> int:
    quantities = [line.quantity for line in rated.lines if line.contracted_cost is None and line.name in TOKEN_CLASSES]
    return (rated.unknown_tokens or 0) + sum(quantities)


def _describe_crossing(cause: Cause, crossing: Crossing) -> Decision:
    limit = crossing.limit
    return cause.decide(
        "grant.crossed", grant=crossing.grant, limit=limit.key, amount=write_amount(limit.key, limit.amount),
        thresholds=crossing.thresholds, used=write_amount(limit.key, crossing.used), past=crossing.is_past,
    )  # fmt: skip


def _count_pico(cost: Decimal | None) -> int:
    return int(cost * PICO) if cost else 0


def _count_us(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)
