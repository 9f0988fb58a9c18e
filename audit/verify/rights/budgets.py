"""Budgets: spend over rolling windows, and the thresholds that it crosses (docs/rules.md, R13)."""

import heapq
from collections.abc import Iterator, Mapping
from operator import add
from typing import Any, NamedTuple

import msgspec

from audit.verify.rights.decisions import Cause, Decision
from audit.verify.rights.windows import BUCKETS, sum_windows
from ledger.money import pico, text

THRESHOLDS = (50, 80, 100)
UNKNOWN = 0
"""Stands among crossed thresholds while a budget that denies unknown usage has some in its window."""
JUDGED_BUCKETS = 2 * BUCKETS
KEPT_BUCKETS = 4 * BUCKETS + 1
"""The buckets that may be asked for: a window before each that holds a judged fact, with what that holds."""
Position = tuple[int, int]


class Spend(NamedTuple):
    """Billed cost, and of the calls whose spend is not known the most that they may cost, their number, their tokens,
    and the number of those that nothing bounds."""

    billed: int = 0
    greatest: int = 0
    calls: int = 0
    tokens: int = 0
    unbounded_calls: int = 0

    def plus(self, spend: "Spend") -> "Spend":
        return Spend(*map(add, self, spend))

    def negate(self) -> "Spend":
        return Spend(*(-figure for figure in self))


class Fact(NamedTuple):
    """The spend of an entry, with the position of the entry and the event that it follows from. An ``is_restated`` one
    is that of an entry before, by other prices."""

    cause: Cause
    position: Position
    time_us: int
    spend: Spend
    currency: str | None
    data: Mapping[str, Any]
    is_unpriced: bool = False
    is_restated: bool = False


class Budget(msgspec.Struct):
    """A budget with the spend of each bucket, the thresholds that are not armed, and the buckets of the present and of
    the newest fact."""

    dimension: str
    scope: str
    window_s: int
    limit: int
    currency: str
    unknown_usage: str
    since: Position  # its first allocation
    present: int = 0
    present_spend: Spend | None = None  # of its window; None is not added up yet
    newest: int = -1
    spends: dict[int, Spend] = {}
    crossed_thresholds: list[int] = []
    is_due: bool = False  # time may arm a threshold again, and the agenda has the moment

    @property
    def bucket_us(self) -> int:
        return self.window_s * 1_000_000 // BUCKETS

    def is_judged(self, bucket: int, now_us: int) -> bool:
        return bucket >= min(self.newest, max(self.present, now_us // self.bucket_us)) - JUDGED_BUCKETS

    def add(self, bucket: int, spend: Spend) -> None:
        """Add spend to a bucket, and forget the buckets that nobody asks for any more."""
        self.spends[bucket] = self.spends.get(bucket, Spend()).plus(spend)
        if self.present_spend is not None and bucket >= self.present - BUCKETS:
            self.present_spend = self.present_spend.plus(spend)
        if len(self.spends) > 2 * KEPT_BUCKETS:
            oldest = min(self.newest, self.present) - KEPT_BUCKETS
            self.spends = {bucket: spend for bucket, spend in self.spends.items() if bucket >= oldest}

    def move(self, bucket: int) -> None:
        """Let the present window end with a bucket, or a later one where it does already."""
        if bucket > self.present:
            self.present, self.present_spend = bucket, None

    def sum_window(self, bucket: int, last_bucket: int) -> Spend:
        """Add up the window that ends with a bucket, with what lies ahead of it up to a last one."""
        total = Spend()
        for number in range(bucket - BUCKETS, last_bucket + 1):
            if number in self.spends:
                total = total.plus(self.spends[number])
        return total

    def sum_present(self) -> Spend:
        """Add up the present window, with what lies ahead of it."""
        if self.present_spend is None:
            self.present_spend = self.sum_window(self.present, max(self.present, self.newest))
        return self.present_spend

    def read_amount(self, bucket: int) -> int:
        """Return what the spend of a bucket is worth by the policy."""
        spend = self.spends.get(bucket)
        return 0 if spend is None else self.value(spend)

    def value(self, spend: Spend) -> int:
        """Return what a spend is worth by the policy."""
        return spend.billed + self.assume(spend)

    def assume(self, spend: Spend) -> int:
        return spend.greatest if self.unknown_usage == "assume_greatest" else 0

    def is_denied(self, spend: Spend) -> bool:
        return self.unknown_usage == "deny" and spend.calls > 0

    def is_reached(self, amount: int, threshold: int) -> bool:
        return amount * 100 >= threshold * self.limit

    def is_low(self, spend: Spend, threshold: int) -> bool:
        """Tell whether a threshold is armed again by a window's spend."""
        if threshold == UNKNOWN:
            return not self.is_denied(spend)
        return self.value(spend) * 1000 < threshold * self.limit * 9


class Budgets:
    """The budgets of a partition's organizations, and the decisions on them."""

    def __init__(self) -> None:
        self._budgets: dict[str, dict[str, dict[str, dict[int, Budget]]]] = {}
        """By organization, dimension, scope and window."""
        self._agenda: list[tuple[int, str, str, str, int]] = []

    def dump_state(self) -> Any:
        return msgspec.to_builtins([self._budgets, self._agenda], str_keys=True)

    def load_state(self, state: Any) -> None:
        budgets = dict[str, dict[str, dict[str, dict[int, Budget]]]]
        self._budgets = msgspec.convert(state[0], budgets, strict=False, str_keys=True)
        self._agenda = msgspec.convert(state[1], list[tuple[int, str, str, str, int]])

    def allocate(self, cause: Cause, place: Position, body: Mapping[str, Any], now_us: int) -> Iterator[Decision]:
        """Make a budget, or change its limit and policy."""
        control_type, unknown_usage = "budget.allocated", body.get("unknown_usage") or "tokens_only"
        scopes = self._budgets.setdefault(cause.organization, {}).setdefault(body["dimension"], {})
        budgets = scopes.setdefault(body["scope"], {})
        limit, budget = pico(str(body["limit"])), budgets.get(body["window_s"])
        if budget is not None and budget.currency != body["currency"]:
            yield cause.decide("control.ineffective", control_type=control_type)
            return
        identity = _name_budget(body)
        yield cause.decide(
            "control.applied", control_type=control_type, **identity, limit=text(limit), currency=body["currency"],
            unknown_usage=unknown_usage,
        )  # fmt: skip
        if budget is None:
            budget = Budget(
                **identity, limit=limit, currency=body["currency"], unknown_usage=unknown_usage, since=place
            )
            budget.move(now_us // budget.bucket_us)
            budgets[budget.window_s] = budget
            return
        yield from self._move(cause, budget, now_us)
        budget.limit, budget.unknown_usage = limit, unknown_usage
        yield from self._arm(cause, budget)
        yield from self._cross(cause, budget)

    def remove(self, cause: Cause, body: Mapping[str, Any]) -> Iterator[Decision]:
        """End a budget, with all that it counted."""
        control_type, identity = "budget.removed", _name_budget(body)
        budgets = self._budgets.get(cause.organization, {}).get(body["dimension"], {}).get(body["scope"], {})
        budget = budgets.pop(body["window_s"], None)
        if budget is None:
            yield cause.decide("control.ineffective", control_type=control_type, **identity)
            return
        yield cause.decide(
            "control.applied", control_type=control_type, **identity, limit=text(budget.limit),
            currency=budget.currency,
        )  # fmt: skip

    def pass_time(self, until_us: int) -> Iterator[Decision]:
        """Arm thresholds again that time alone has brought down, up to a moment."""
        while self._agenda and self._agenda[0][0] <= until_us:
            moment_us, organization, dimension, scope, window_s = heapq.heappop(self._agenda)
            budget = self._budgets[organization][dimension][scope].get(window_s)
            if budget is not None and budget.is_due:
                budget.is_due = False
                yield from self._move(Cause(organization), budget, moment_us)
                self._watch(organization, budget)

    def change(self, reversed_fact: Fact | None, added_fact: Fact | None, now_us: int) -> Iterator[Decision]:
        """Take an entry out of its bucket, add the one in its place, and then arm what the present is below."""
        reversed_budgets = [] if reversed_fact is None else self._list_budgets(reversed_fact)
        for budget in reversed_budgets:
            assert reversed_fact is not None, "it has budgets"
            yield from self._take_back(budget, reversed_fact, now_us)
        if added_fact is not None:
            for budget in self._list_budgets(added_fact):
                yield from self._add(budget, added_fact, now_us)
        for budget in reversed_budgets:
            assert reversed_fact is not None, "it has budgets"
            yield from self._arm(reversed_fact.cause, budget)

    def _list_budgets(self, fact: Fact) -> list[Budget]:
        """List the budgets that count a fact, if they were there before it."""
        if not (fact.spend.billed or fact.is_unpriced or fact.is_restated):
            return []
        organization = fact.cause.organization
        budgets: list[Budget] = []
        for dimension, scopes in self._budgets.get(organization, {}).items():
            scope = organization if dimension == "organization" else fact.data.get(dimension)
            if scope in scopes:
                budgets += scopes[scope].values()
        return [
            budget for budget in budgets if fact.currency in (budget.currency, None) and fact.position >= budget.since
        ]

    def _take_back(self, budget: Budget, fact: Fact, now_us: int) -> Iterator[Decision]:
        bucket = fact.time_us // budget.bucket_us
        if budget.is_judged(bucket, now_us):
            yield from self._move(fact.cause, budget, now_us)
            budget.add(bucket, fact.spend.negate())

    def _add(self, budget: Budget, fact: Fact, now_us: int) -> Iterator[Decision]:
        bucket = fact.time_us // budget.bucket_us
        if not budget.is_judged(bucket, now_us):
            return
        yield from self._move(fact.cause, budget, now_us)
        budget.newest = max(budget.newest, bucket)
        budget.add(bucket, fact.spend)
        yield from self._cross(fact.cause, budget)
        if bucket < budget.present and THRESHOLDS[-1] not in budget.crossed_thresholds:
            yield from _judge_past(fact, budget, bucket)

    def _move(self, cause: Cause, budget: Budget, now_us: int) -> Iterator[Decision]:
        """Move the present on to a moment, and arm thresholds again on the way."""
        last_bucket = now_us // budget.bucket_us
        while budget.crossed_thresholds and budget.present < last_bucket:
            budget.move(budget.present + 1)
            yield from self._arm(cause, budget, due_us=budget.present * budget.bucket_us)
        budget.move(last_bucket)

    def _watch(self, organization: str, budget: Budget) -> None:
        """Put the end of the present bucket on the agenda, if a threshold is not armed."""
        if budget.crossed_thresholds and not budget.is_due:
            budget.is_due = True
            moment_us = (budget.present + 1) * budget.bucket_us
            heapq.heappush(self._agenda, (moment_us, organization, budget.dimension, budget.scope, budget.window_s))

    def _arm(self, cause: Cause, budget: Budget, **due: int) -> Iterator[Decision]:
        """Arm the thresholds again that the present is below."""
        if not budget.crossed_thresholds:
            return
        spend = budget.sum_present()
        low = [threshold for threshold in budget.crossed_thresholds if budget.is_low(spend, threshold)]
        budget.crossed_thresholds = [threshold for threshold in budget.crossed_thresholds if threshold not in low]
        time_cause = Cause(cause.organization, cause.event_index)
        fields = due | _describe(budget, budget.present, spend)
        if UNKNOWN in low:
            yield time_cause.decide("unknown_usage.resolved", **fields)
        if thresholds := sorted(set(low) - {UNKNOWN}):
            yield time_cause.decide("threshold.rearmed", **_name_thresholds(thresholds), **fields)

    def _cross(self, cause: Cause, budget: Budget) -> Iterator[Decision]:
        """Cross the thresholds that the present reaches."""
        spend = budget.sum_present()
        if budget.is_denied(spend) and UNKNOWN not in budget.crossed_thresholds:
            budget.crossed_thresholds = [*budget.crossed_thresholds, UNKNOWN]
            yield cause.decide("unknown_usage.raised", **_describe(budget, budget.present, spend))
        thresholds = [
            threshold
            for threshold in THRESHOLDS
            if budget.is_reached(budget.value(spend), threshold) and threshold not in budget.crossed_thresholds
        ]
        if thresholds:
            budget.crossed_thresholds = [*budget.crossed_thresholds, *thresholds]
            fields = _describe(budget, budget.present, spend)
            yield cause.decide("threshold.crossed", **_name_thresholds(thresholds), **fields)
        self._watch(cause.organization, budget)


def _judge_past(fact: Fact, budget: Budget, bucket: int) -> Iterator[Decision]:
    """Tell which thresholds a fact made windows before the present cross."""
    last_bucket = min(bucket + BUCKETS, budget.present - 1)
    windows = sum_windows(budget.read_amount, BUCKETS + 1, bucket, last_bucket)
    last_bucket, amount = max(windows, key=lambda window: window[1])
    former = amount - budget.value(fact.spend)
    thresholds = [
        threshold
        for threshold in THRESHOLDS
        if threshold not in budget.crossed_thresholds
        and budget.is_reached(amount, threshold)
        and not budget.is_reached(former, threshold)
        and _was_armed(budget, bucket, threshold)
    ]
    if thresholds:
        fields = _describe(budget, last_bucket, budget.sum_window(last_bucket, last_bucket))
        yield fact.cause.decide("threshold.crossed", past=True, **_name_thresholds(thresholds), **fields)


def _was_armed(budget: Budget, bucket: int, threshold: int) -> bool:
    """Tell whether a threshold was armed before the windows that hold a bucket: of those of the length before it, the
    last that reached it or armed it again decides."""
    windows = sum_windows(budget.read_amount, BUCKETS + 1, bucket - BUCKETS, bucket - 1)
    for _, amount in reversed(windows):
        if budget.is_reached(amount, threshold):
            return False
        if budget.is_low(Spend(amount), threshold):
            return True
    return True


def _name_budget(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"dimension": body["dimension"], "scope": body["scope"], "window_s": body["window_s"]}


def _name_thresholds(thresholds: list[int]) -> dict[str, Any]:
    return {"threshold": max(thresholds), "thresholds": thresholds}


def _describe(budget: Budget, bucket: int, spend: Spend) -> dict[str, Any]:
    """Describe a budget with a window's spend."""
    fields: dict[str, Any] = {
        "dimension": budget.dimension, "scope": budget.scope, "window_s": budget.window_s, "limit": text(budget.limit),
        "currency": budget.currency, "used": text(budget.value(spend)),
        "window_end_us": (bucket + 1) * budget.bucket_us, "unknown_usage": budget.unknown_usage,
    }  # fmt: skip
    if spend.calls:
        fields |= {
            "assumed": text(budget.assume(spend)), "unknown_calls": spend.calls, "unknown_tokens": spend.tokens,
            "unbounded_calls": spend.unbounded_calls,
        }  # fmt: skip
    return fields
