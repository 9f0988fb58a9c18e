"""Budgets: the spend of a scope over a rolling window, and the thresholds it crosses.

Spend falls into tumbling buckets, a sixtieth of the window each, and is summed on read: the bucket of the
moment and the sixty before it. So the oldest, of which only a part lies in the window, counts whole: a window
is seen up to one bucket too long. A fact is judged in the window that ends at its own bucket. A threshold
fires once, and is armed again when the window's spend falls below nine tenths of it.

Calls whose spend is not known are counted beside it, with the most that they may cost. The budget's policy,
``unknown_usage``, decides what they are worth: nothing (``tokens_only``, the default), the most that they may cost
(``assume_greatest``), or a decision of their own as soon as one lies in the window (``deny``). Buckets hold both
figures, so another policy judges the same window anew.

A budget's clock stands at the greatest event time it has seen and runs on with the log's time, so that a
trace of last year and live calls are judged alike. What it counts begins with its first allocation. An event
more than a window older than the clock is entered in the ledger, and no longer judged.
"""

from collections.abc import Iterator
from functools import lru_cache
from operator import add, sub
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ledger.money import pico, text
from ledger.outcomes import RESTATEMENT
from streams.folds.emit import Emit
from streams.folds.entry import Documents, Entry, EntryChange, RatedCall
from streams.folds.event import Event
from streams.folds.fold import Fold
from streams.folds.state import Key, State
from tallystick.vocabulary.controls.budgets import DEFAULT_UNKNOWN_USAGE, BudgetAllocated

NAME = "budgets"
THRESHOLDS = (50, 80, 100)
BUCKETS = 60
UNKNOWN = 0
"""Stands among the thresholds that fired while a budget that denies unknown usage has a call of it in its window."""
BUDGET, WINDOWS, DIMENSIONS, BUCKET = "budget", "windows", "dimensions", "bucket"


class Spend(NamedTuple):
    """Spend of a bucket or window, in pico, and its calls whose spend is not known: the most that those with a bound
    may cost, their number, their tokens as far as they are told, and the number of those without a bound."""

    billed: int = 0
    greatest: int = 0
    calls: int = 0
    tokens: int = 0
    unbounded_calls: int = 0

    def plus(self, spend: "Spend") -> "Spend":
        return Spend(*map(add, self, spend))

    def plus_billed(self, amount: int) -> "Spend":
        """Return the spend with more billed cost, as most calls add it: quicker than :meth:`plus`."""
        billed, *unknown = self
        return Spend(billed + amount, *unknown)

    def minus(self, spend: "Spend") -> "Spend":
        return Spend(*map(sub, self, spend))


NOTHING = Spend()


class Scope(msgspec.Struct):
    """The identity of a budget: whose spend over which window, with the keys of its state."""

    organization: str
    dimension: str
    value: str
    window_s: int
    bucket_us: int = 0
    key: Key = ()
    buckets: Key = ()

    def __post_init__(self) -> None:
        self.bucket_us = self.window_s * 1_000_000 // BUCKETS
        identity = (self.organization, self.dimension, self.value, self.window_s)
        self.key = (NAME, BUDGET, *identity)
        self.buckets = (NAME, BUCKET, *identity)

    def spent(self, bucket: int, state: State) -> Spend:
        """Return the spend of a bucket. A bucket in which all is known is stored as its billed cost alone."""
        stored = state.get((*self.buckets, bucket))
        return NOTHING if stored is None else Spend(stored) if type(stored) is int else Spend(*stored)


_scope = lru_cache(maxsize=10_000)(Scope)


class Budget(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state of a budget."""

    limit: int  # pico
    currency: str
    fired: tuple[int, ...] = ()  # the thresholds that are not armed
    bucket: int = -1  # the bucket of the clock
    used: Spend = NOTHING  # in the window that ends there
    seen_us: int = 0  # the greatest event time
    seen_now_us: int = 0  # the log's time when it was seen
    since_offset: int = -1  # the position of the first allocation
    since_index: int = -1
    rearm: int = -1  # no threshold is armed again before this bucket; -1 is not known yet
    unknown_usage: str = DEFAULT_UNKNOWN_USAGE

    def assumed(self, spend: Spend) -> int:
        """Return the part of a spend that the policy assumes, in pico."""
        return spend.greatest if self.unknown_usage == "assume_greatest" else 0

    def amount(self, spend: Spend) -> int:
        """Return what a spend is worth by the policy, in pico."""
        return spend.billed + self.assumed(spend)

    def denies(self, spend: Spend) -> bool:
        """Tell whether the policy lets no such spend stand."""
        return self.unknown_usage == "deny" and spend.calls > 0


def set_limit(event: Event, state: State, _: Documents, emit: Emit) -> None:
    """Apply ``budget.allocated``: make a budget, or give one another limit."""
    body = event.data["body"]
    scope = _scope(event.organization, body["dimension"], body["scope"], body["window_s"])
    limit, currency = pico(str(body["limit"])), body["currency"]
    unknown_usage = body.get("unknown_usage", DEFAULT_UNKNOWN_USAGE)
    before = _load_budget(scope, state)
    if before is not None and before.currency != currency:
        reason = f"the budget stands in {before.currency}: spend in {currency} takes another window"
        emit.decision(
            event.organization, "control.ineffective", control_type=BudgetAllocated.control_type, reason=reason,
            event_source=event.source, event_id=event.id,
        )  # fmt: skip
        return
    emit.decision(
        event.organization, "control.applied", control_type=BudgetAllocated.control_type,
        event_source=event.source, event_id=event.id, **_scope_fields(scope), limit=text(limit), currency=currency,
        unknown_usage=unknown_usage,
    )  # fmt: skip
    if before is None:
        _register_scope(scope, state)
        offset, event_index = emit.order()
        budget = Budget(limit, currency, since_offset=offset, since_index=event_index, unknown_usage=unknown_usage)
        state.put(scope.key, budget)
        return
    budget = replace(before, limit=limit, rearm=-1, unknown_usage=unknown_usage)
    budget = _rearm_thresholds(scope, budget, emit)
    _store_budget(scope, _cross_thresholds(scope, budget, budget.bucket, budget.used, event, emit), state)


def add_spend(event: Event, entry: Entry, state: State, emit: Emit) -> None:
    """Add an inference to the budgets of its scopes: a counted one, or a quarantined one with its bound."""
    if entry.billed_cost or entry.unpriced is not None:
        for scope in _find_scopes(event, entry, state):
            _add_to_budget(scope, event, entry, state, emit)


def correct_spend(change: EntryChange, state: State, emit: Emit) -> None:
    """Take a reversed entry out of its bucket, and add the one in its place. A threshold that the window is now below
    is armed again as time goes on, so that a replacement neither arms nor fires it on the way."""
    former = change.reversed
    if former is not None and former.is_in_windows and (former.entry.billed_cost or former.entry.unpriced is not None):
        for scope in _find_scopes(former.event, former.entry, state):
            _take_from_budget(scope, former, state)
    added = change.added
    if added is not None and change.reason == RESTATEMENT:
        _add_restated(added, state, emit)
    elif added is not None:
        add_spend(added.event, added.entry, state, emit)


def _add_restated(call: RatedCall, state: State, emit: Emit) -> None:
    """Add a call by other prices to the budgets that counted it."""
    if not call.is_in_windows:
        return
    for scope in _find_scopes(call.event, call.entry, state):
        budget = _load_budget(scope, state)
        if budget is not None and call.position >= (budget.since_offset, budget.since_index):
            _add_to_budget(scope, call.event, call.entry, state, emit)


def rearm_when_due(key: Key, due_us: int, state: State, emit: Emit) -> None:
    """Arm thresholds again where time alone has emptied the window far enough."""
    organization, dimension, value, window_s = key[2:]
    scope = _scope(str(organization), str(dimension), str(value), int(window_s))
    budget = _load_budget(scope, state)
    assert budget is not None
    clock_us = budget.seen_us + due_us - budget.seen_now_us
    bucket = max(budget.bucket, clock_us // scope.bucket_us)
    _store_budget(scope, _advance_clock(scope, budget, bucket, state, emit), state)


def _find_scopes(event: Event, entry: Entry, state: State) -> Iterator[Scope]:
    for dimension in state.get((NAME, DIMENSIONS, event.organization)) or ():
        value = event.organization if dimension == "organization" else getattr(entry.dimensions, dimension)
        if value is None:
            continue
        for window_s in state.get((NAME, WINDOWS, event.organization, dimension, value)) or ():
            yield _scope(event.organization, dimension, value, window_s)


def _take_from_budget(scope: Scope, call: RatedCall, state: State) -> None:
    """Take a call out of the bucket of its time, if the budget counted it and its window still holds the bucket.

    A call within the window now was within it when it came, for a clock never goes back: so it was added. Of a call
    before the window nobody knows that.
    """
    budget = _load_budget(scope, state)
    if budget is None or call.entry.currency not in (budget.currency, None):
        return
    bucket = call.event.time_us // scope.bucket_us
    if call.position < (budget.since_offset, budget.since_index) or bucket < budget.bucket - BUCKETS:
        return
    spend = _read_spend(call.entry)
    _store_bucket(scope, bucket, scope.spent(bucket, state).minus(spend), state)
    _store_budget(scope, replace(budget, used=budget.used.minus(spend), rearm=-1), state)


def _add_to_budget(scope: Scope, event: Event, entry: Entry, state: State, emit: Emit) -> None:
    budget = _load_budget(scope, state)
    if budget is None or entry.currency not in (budget.currency, None):  # without a price a call has no currency
        return
    bucket = event.time_us // scope.bucket_us
    if budget.bucket < 0:
        budget = replace(budget, bucket=bucket)
    elif bucket > budget.bucket:
        budget = _advance_clock(scope, budget, bucket, state, emit)
    elif bucket < budget.bucket - BUCKETS:
        return
    used = _add_to_bucket(scope, bucket, budget.used, entry, state)
    last_seen = (event.time_us, emit.now_us) if event.time_us > budget.seen_us else (budget.seen_us, budget.seen_now_us)
    budget = Budget(
        budget.limit, budget.currency, budget.fired, budget.bucket, used, *last_seen,
        budget.since_offset, budget.since_index, budget.rearm, budget.unknown_usage,
    )  # fmt: skip
    for later in range(bucket + 1, budget.bucket + 1):  # a late fact is judged in the window that ended there
        used = used.plus(scope.spent(later - BUCKETS - 1, state)).minus(scope.spent(later, state))
    if budget.amount(used) * 100 >= THRESHOLDS[0] * budget.limit or budget.denies(used):
        budget = _cross_thresholds(scope, budget, bucket, used, event, emit)
    _store_budget(scope, budget, state)


def _store_bucket(scope: Scope, bucket: int, spend: Spend, state: State) -> None:
    """Store a bucket's spend: its billed cost alone where all is known."""
    state.put((*scope.buckets, bucket), spend if spend.calls else spend.billed)


def _add_to_bucket(scope: Scope, bucket: int, used: Spend, entry: Entry, state: State) -> Spend:
    """Add an entry to its bucket, and return the used spend with it."""
    key = (*scope.buckets, bucket)
    stored = state.get(key)
    if entry.unpriced is None and (stored is None or type(stored) is int):  # most calls, and most buckets
        state.put(key, (stored or 0) + entry.billed_cost)
        return used.plus_billed(entry.billed_cost)
    spend = _read_spend(entry)
    _store_bucket(scope, bucket, scope.spent(bucket, state).plus(spend), state)
    return used.plus(spend)


def _read_spend(entry: Entry) -> Spend:
    unpriced = entry.unpriced
    if unpriced is None:
        return Spend(entry.billed_cost)
    unbounded_calls = unpriced.calls if unpriced.greatest_cost is None else 0
    return Spend(entry.billed_cost, unpriced.greatest_cost or 0, unpriced.calls, unpriced.tokens, unbounded_calls)


def _advance_clock(scope: Scope, budget: Budget, bucket: int, state: State, emit: Emit) -> Budget:
    """Move the clock on, and delete the buckets that no window needs: a late fact's window reaches back two."""
    last_bucket, used = budget.bucket, budget.used
    for step, used in _windows_after(scope, budget, bucket, state):
        if budget.fired:
            budget = _rearm_thresholds(
                scope, replace(budget, bucket=step, used=used), emit, due_us=step * scope.bucket_us
            )
    for expired in range(last_bucket - 2 * BUCKETS, min(last_bucket, bucket - 2 * BUCKETS - 1) + 1):
        if state.get((*scope.buckets, expired)) is not None:
            state.delete((*scope.buckets, expired))
    return replace(budget, bucket=bucket, used=used)


def _windows_after(scope: Scope, budget: Budget, last_bucket: int, state: State) -> Iterator[tuple[int, Spend]]:
    """Yield the window's spend as time alone passes: (bucket, used), up to a bucket or an empty window."""
    used = budget.used
    for bucket in range(budget.bucket + 1, min(last_bucket, budget.bucket + BUCKETS + 1) + 1):
        used = used.minus(scope.spent(bucket - BUCKETS - 1, state))
        yield bucket, used


def _rearm_thresholds(scope: Scope, budget: Budget, emit: Emit, **due: int) -> Budget:
    rearmed = [threshold for threshold in budget.fired if _is_below_rearm_level(budget, budget.used, threshold)]
    for threshold in rearmed:
        emit.decision(
            scope.organization, "threshold.rearmed" if threshold else "unknown_usage.resolved", **due,
            **_scope_fields(scope), **_threshold_fields(scope, budget, threshold, budget.bucket, budget.used),
        )  # fmt: skip
    return replace(budget, fired=tuple(threshold for threshold in budget.fired if threshold not in rearmed))


def _cross_thresholds(scope: Scope, budget: Budget, bucket: int, used: Spend, event: Event, emit: Emit) -> Budget:
    amount = budget.amount(used)
    crossed = [threshold for threshold in THRESHOLDS if amount * 100 >= threshold * budget.limit]
    for threshold in [*([UNKNOWN] if budget.denies(used) else ()), *crossed]:
        if threshold not in budget.fired:
            emit.decision(
                scope.organization, "threshold.crossed" if threshold else "unknown_usage.raised",
                event_source=event.source, event_id=event.id,
                **_scope_fields(scope), **_threshold_fields(scope, budget, threshold, bucket, used),
            )  # fmt: skip
            budget = replace(budget, fired=(*budget.fired, threshold), rearm=-1)
    return budget


def _store_budget(scope: Scope, budget: Budget, state: State) -> None:
    """Store the budget, due when time alone would arm one of its thresholds again.

    More spend only delays that, so the bucket found once stays a lower bound. The due time is rounded up to a
    whole bucket, or each event of a trace that is read at full speed would move it.
    """
    if not budget.fired:
        state.put(scope.key, budget)
        return
    if budget.rearm <= budget.bucket:
        steps = _windows_after(scope, budget, budget.bucket + BUCKETS + 1, state)
        below = (
            step
            for step, used in steps
            if any(_is_below_rearm_level(budget, used, threshold) for threshold in budget.fired)
        )
        budget = replace(budget, rearm=next(below))
    due_us = budget.rearm * scope.bucket_us - budget.seen_us + budget.seen_now_us
    state.put(scope.key, budget, -(-due_us // scope.bucket_us) * scope.bucket_us)


def _is_below_rearm_level(budget: Budget, used: Spend, threshold: int) -> bool:
    if threshold == UNKNOWN:
        return not budget.denies(used)
    return budget.amount(used) * 1000 < threshold * budget.limit * 9


def _register_scope(scope: Scope, state: State) -> None:
    dimensions_key = (NAME, DIMENSIONS, scope.organization)
    state.put(dimensions_key, tuple(sorted({*(state.get(dimensions_key) or ()), scope.dimension})))
    windows_key = (NAME, WINDOWS, scope.organization, scope.dimension, scope.value)
    state.put(windows_key, tuple(sorted({*(state.get(windows_key) or ()), scope.window_s})))


def _load_budget(scope: Scope, state: State) -> Budget | None:
    row = state.get(scope.key)
    if row is None or type(row) is Budget:
        return row
    budget = Budget(*row)  # lists where the store gave it
    return replace(budget, fired=tuple(budget.fired), used=Spend(*budget.used))


def _scope_fields(scope: Scope) -> dict[str, object]:
    return {"dimension": scope.dimension, "scope": scope.value, "window_s": scope.window_s}


def _threshold_fields(scope: Scope, budget: Budget, threshold: int, bucket: int, used: Spend) -> dict[str, object]:
    fields: dict[str, object] = {"limit": text(budget.limit), "currency": budget.currency}
    if threshold:
        fields["threshold"] = threshold
    fields |= {
        "used": text(budget.amount(used)),
        "window_end_us": (bucket + 1) * scope.bucket_us,
        "unknown_usage": budget.unknown_usage,
    }
    if used.calls:
        fields |= {
            "assumed": text(budget.assumed(used)), "unknown_calls": used.calls, "unknown_tokens": used.tokens,
            "unbounded_calls": used.unbounded_calls,
        }  # fmt: skip
    return fields


FOLD = Fold(
    NAME,
    on_entry=add_spend,
    on_correction=correct_spend,
    on_control={BudgetAllocated.control_type: set_limit},
    on_due=rearm_when_due,
    on_quarantined=add_spend,
)
