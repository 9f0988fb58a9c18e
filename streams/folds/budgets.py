"""Budgets: the spend of a scope over a rolling window, and the thresholds it crosses (docs/rules.md, R13).

Spend falls into tumbling buckets, a sixtieth of the window each. A window is the bucket that it ends with and the sixty
before it, so the oldest, of which only a part lies in the window, counts whole. The *present* window ends with the
bucket of the log's time, and holds facts whose time is a little ahead too. So what is spent now does not depend on the
order in which facts arrive. A threshold of the present fires once, and is armed again when the window's spend falls
below nine tenths of it.

A fact of the past is judged in the present window, where that holds it, and in each window before that does. A
threshold that is crossed only there makes a decision that says so, and arms or fires nothing. What is more than two
windows older than the newest fact, or than the present, is entered in the ledger, and not judged.

Calls whose spend is not known are counted beside it, with the most that they may cost. The budget's policy,
``unknown_usage``, decides what they are worth: nothing (``tokens_only``, the default), the most that they may cost
(``assume_greatest``), or a decision of their own as soon as one lies in the present window (``deny``). Buckets hold
both figures, so another policy judges the same window anew.
"""

from collections.abc import Iterator
from functools import lru_cache
from operator import add, sub
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ledger.money import pico, text
from ledger.outcomes import RESTATEMENT
from streams.folds.currencies import find_uncounted
from streams.folds.emit import Emit
from streams.folds.entry import Documents, Entry, EntryChange, RatedCall
from streams.folds.event import Event
from streams.folds.fold import Fold
from streams.folds.state import Key, State
from tallystick.vocabulary.controls.budgets import DEFAULT_UNKNOWN_USAGE, BudgetAllocated, BudgetRemoved

NAME = "budgets"
THRESHOLDS = (50, 80, 100)
BUCKETS = 60
JUDGED_BUCKETS, STORED_BUCKETS = 2 * BUCKETS, 3 * BUCKETS
"""How far behind its newest fact, or the present, a budget judges a fact, and how far it stores spend."""
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


class Window(NamedTuple):
    """The spend of the window that ends with a bucket."""

    bucket: int = -1
    used: Spend = NOTHING

    def has(self, bucket: int) -> bool:
        return bucket >= self.bucket - BUCKETS


_scope = lru_cache(maxsize=10_000)(Scope)


class Budget(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state of a budget."""

    limit: int  # pico
    currency: str
    present: Window  # what is spent ahead of the log's time included
    newest: Window = Window()  # of the newest fact
    fired: tuple[int, ...] = ()  # the thresholds that are not armed
    since_offset: int = -1  # the position of the first allocation
    since_index: int = -1
    rearm: int = -1  # no threshold is armed again before this bucket; -1 is not known yet
    unknown_usage: str = DEFAULT_UNKNOWN_USAGE

    def judges(self, bucket: int, now_bucket: int) -> bool:
        """Tell whether facts of a bucket lie near enough behind the newest fact, or the present, to be judged."""
        return bucket >= min(self.newest.bucket, max(self.present.bucket, now_bucket)) - JUDGED_BUCKETS

    def assumed(self, spend: Spend) -> int:
        """Return the part of a spend that the policy assumes, in pico."""
        return spend.greatest if self.unknown_usage == "assume_greatest" else 0

    def amount(self, spend: Spend) -> int:
        """Return what a spend is worth by the policy, in pico."""
        return spend.billed + self.assumed(spend)

    def denies(self, spend: Spend) -> bool:
        """Tell whether the policy lets no such spend stand."""
        return self.unknown_usage == "deny" and spend.calls > 0


def set_limit(event: Event, state: State, documents: Documents, emit: Emit) -> None:
    """Apply ``budget.allocated``: make a budget, or give one another limit."""
    body = event.data["body"]
    scope = _scope(event.organization, body["dimension"], body["scope"], body["window_s"])
    limit, currency = pico(str(body["limit"])), body["currency"]
    unknown_usage = body.get("unknown_usage", DEFAULT_UNKNOWN_USAGE)
    before = _load_budget(scope, state)
    if before is not None and before.currency != currency:
        reason = f"the budget is in {before.currency}: remove it before it is set in {currency}"
        emit.decision(
            event.organization, "control.ineffective", control_type=BudgetAllocated.control_type, reason=reason,
            event_source=event.source, event_id=event.id,
        )  # fmt: skip
        return
    warning = find_uncounted(event.organization, [currency], state, documents)
    emit.decision(
        event.organization, "control.applied", control_type=BudgetAllocated.control_type,
        event_source=event.source, event_id=event.id, **_scope_fields(scope), limit=text(limit), currency=currency,
        unknown_usage=unknown_usage, **({} if warning is None else {"reason": warning}),
    )  # fmt: skip
    if before is None:
        _register_scope(scope, state)
        present = Window(emit.now_us // scope.bucket_us)
        offset, event_index = emit.order()
        budget = Budget(
            limit, currency, present, since_offset=offset, since_index=event_index, unknown_usage=unknown_usage
        )
        state.put(scope.key, budget)
        return
    budget = _move_present(scope, before, emit.now_us, state, emit)
    budget = _rearm_thresholds(scope, replace(budget, limit=limit, rearm=-1, unknown_usage=unknown_usage), emit)
    _store_budget(scope, before, _cross_thresholds(scope, budget, event, emit), state)


def remove(event: Event, state: State, _: Documents, emit: Emit) -> None:
    """Apply ``budget.removed``: delete a budget, and what it counted."""
    body = event.data["body"]
    scope = _scope(event.organization, body["dimension"], body["scope"], body["window_s"])
    budget = _load_budget(scope, state)
    cause = {"control_type": BudgetRemoved.control_type, "event_source": event.source, "event_id": event.id}
    if budget is None:
        reason = "there is no such budget"
        emit.decision(event.organization, "control.ineffective", reason=reason, **cause, **_scope_fields(scope))
        return
    for bucket in range(min(budget.newest.bucket, budget.present.bucket) - STORED_BUCKETS, budget.newest.bucket + 1):
        if state.get((*scope.buckets, bucket)) is not None:
            state.delete((*scope.buckets, bucket))
    state.delete(scope.key)
    _register_scope(scope, state, is_removed=True)
    emit.decision(
        event.organization, "control.applied", **cause, **_scope_fields(scope), limit=text(budget.limit),
        currency=budget.currency,
    )  # fmt: skip


def add_spend(event: Event, entry: Entry, state: State, emit: Emit) -> None:
    """Add an inference to the budgets of its scopes: a counted one, or a quarantined one with its bound."""
    if _has_spend(entry):
        for scope in _find_scopes(event, entry, state):
            _add_to_budget(scope, event, entry, state, emit)


def correct_spend(change: EntryChange, state: State, emit: Emit) -> None:
    """Take a reversed entry out of its bucket, and add the one in its place. Then thresholds that the present window is
    below are armed again: a replacement neither arms nor fires one on the way."""
    scopes: list[Scope] = []
    former = change.reversed
    if former is not None and former.is_in_windows and _has_spend(former.entry):
        scopes += _find_scopes(former.event, former.entry, state)
        for scope in scopes:
            _take_from_budget(scope, former, state, emit)
    added = change.added
    if added is not None and change.reason == RESTATEMENT:
        _add_restated(added, state, emit)
    elif added is not None:
        add_spend(added.event, added.entry, state, emit)
    for scope in scopes:
        budget = _load_budget(scope, state)
        if budget is not None and budget.fired:
            _store_budget(scope, budget, _rearm_thresholds(scope, budget, emit), state)


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
    _store_budget(scope, budget, _move_present(scope, budget, due_us, state, emit), state)


def read_budget(
    organization: str, dimension: str, value: str, window_s: int, now_us: int, state: State
) -> Budget | None:
    """Return a budget as it is at a moment of the log's time; None where there is none. Nothing is written."""
    scope = _scope(organization, dimension, value, window_s)
    budget = _load_budget(scope, state)
    if budget is None:
        return None
    bucket = now_us // scope.bucket_us
    windows = [budget.present, *_windows_after(scope, budget, bucket, state)]
    fired = budget.fired
    for window in windows:
        fired = tuple(threshold for threshold in fired if not _is_below_rearm_level(budget, window.used, threshold))
    return replace(budget, present=Window(max(bucket, budget.present.bucket), windows[-1].used), fired=fired)


def _find_scopes(event: Event, entry: Entry, state: State) -> Iterator[Scope]:
    for dimension in state.get((NAME, DIMENSIONS, event.organization)) or ():
        value = event.organization if dimension == "organization" else getattr(entry.dimensions, dimension)
        if value is None:
            continue
        for window_s in state.get((NAME, WINDOWS, event.organization, dimension, value)) or ():
            yield _scope(event.organization, dimension, value, window_s)


def _take_from_budget(scope: Scope, call: RatedCall, state: State, emit: Emit) -> None:
    """Take a call out of the bucket of its time, if the budget counted it and still judges the bucket.

    A call that is judged now was judged when it came, for neither the newest fact nor the present goes back: so it was
    added. Of an older call nobody knows that.
    """
    before = _load_budget(scope, state)
    if before is None or call.entry.currency not in (before.currency, None):
        return
    bucket = call.event.time_us // scope.bucket_us
    if call.position < (before.since_offset, before.since_index):
        return
    if not before.judges(bucket, emit.now_us // scope.bucket_us):
        return
    budget = _move_present(scope, before, emit.now_us, state, emit)
    spend = _read_spend(call.entry)
    _store_bucket(scope, bucket, scope.spent(bucket, state).minus(spend), state)
    present, newest = (
        window._replace(used=window.used.minus(spend)) if window.has(bucket) else window
        for window in (budget.present, budget.newest)
    )
    _store_budget(scope, before, replace(budget, present=present, newest=newest, rearm=-1), state)


def _add_to_budget(scope: Scope, event: Event, entry: Entry, state: State, emit: Emit) -> None:
    before = _load_budget(scope, state)
    if before is None or entry.currency not in (before.currency, None):  # without a price a call has no currency
        return
    bucket = event.time_us // scope.bucket_us
    if not before.judges(bucket, emit.now_us // scope.bucket_us):
        return
    budget = _move_present(scope, before, emit.now_us, state, emit)
    present, newest = budget.present, budget.newest
    if bucket > newest.bucket:
        newest = _move_newest(scope, newest, bucket, state)
    spend = _add_to_bucket(scope, bucket, entry, state)
    if newest.has(bucket):
        newest = Window(newest.bucket, newest.used.plus(spend))
    if present.has(bucket):
        present = Window(present.bucket, present.used.plus(spend))
    budget = Budget(
        budget.limit, budget.currency, present, newest, budget.fired, budget.since_offset, budget.since_index,
        budget.rearm, budget.unknown_usage,
    )  # fmt: skip
    if budget.amount(present.used) * 100 >= THRESHOLDS[0] * budget.limit or budget.denies(present.used):
        budget = _cross_thresholds(scope, budget, event, emit)
    if bucket < present.bucket and THRESHOLDS[-1] not in budget.fired:
        _judge_past(scope, budget, bucket, spend, event, state, emit)
    _store_budget(scope, before, budget, state)


def _store_bucket(scope: Scope, bucket: int, spend: Spend, state: State) -> None:
    """Store a bucket's spend: its billed cost alone where all is known."""
    state.put((*scope.buckets, bucket), spend if spend.calls else spend.billed)


def _add_to_bucket(scope: Scope, bucket: int, entry: Entry, state: State) -> Spend:
    """Add an entry to its bucket, and return its spend."""
    key = (*scope.buckets, bucket)
    stored = state.get(key)
    spend = _read_spend(entry)
    if entry.unknown_spend is None and (stored is None or type(stored) is int):  # most calls, and most buckets
        state.put(key, (stored or 0) + entry.billed_cost)
    else:
        _store_bucket(scope, bucket, scope.spent(bucket, state).plus(spend), state)
    return spend


def _has_spend(entry: Entry) -> bool:
    return bool(entry.billed_cost) or entry.unknown_spend is not None


def _read_spend(entry: Entry) -> Spend:
    unpriced = entry.unknown_spend
    if unpriced is None:
        return Spend(entry.billed_cost)
    unbounded_calls = unpriced.calls if unpriced.greatest_cost is None else 0
    return Spend(entry.billed_cost, unpriced.greatest_cost or 0, unpriced.calls, unpriced.tokens, unbounded_calls)


def _move_present(scope: Scope, budget: Budget, now_us: int, state: State, emit: Emit) -> Budget:
    """Move the present window on to a moment of the log's time, and arm thresholds again on the way."""
    bucket = now_us // scope.bucket_us
    if bucket <= budget.present.bucket:
        return budget
    used = budget.present.used
    for window in _windows_after(scope, budget, bucket, state):
        used = window.used
        if budget.fired:
            budget = replace(budget, present=window)
            budget = _rearm_thresholds(scope, budget, emit, due_us=window.bucket * scope.bucket_us)
    return replace(budget, present=Window(bucket, used))


def _windows_after(scope: Scope, budget: Budget, last_bucket: int, state: State) -> Iterator[Window]:
    """Yield the present window as time alone passes, up to a bucket or until it is empty."""
    first, used = budget.present
    for bucket in range(first + 1, min(last_bucket, max(first, budget.newest.bucket) + BUCKETS + 1) + 1):
        used = used.minus(scope.spent(bucket - BUCKETS - 1, state))
        yield Window(bucket, used)


def _move_newest(scope: Scope, newest: Window, bucket: int, state: State) -> Window:
    """Move the window of the newest fact on to a bucket in which nothing is spent yet."""
    if bucket - newest.bucket > BUCKETS:
        return Window(bucket)
    used = newest.used
    for expired in range(newest.bucket - BUCKETS, bucket - BUCKETS):
        used = used.minus(scope.spent(expired, state))
    return Window(bucket, used)


def _judge_past(
    scope: Scope, budget: Budget, bucket: int, spend: Spend, event: Event, state: State, emit: Emit
) -> None:
    """Tell which thresholds a fact made the windows before the present cross that hold it, and the present did not."""
    window = max(_list_past_windows(scope, budget, bucket, state), key=lambda window: budget.amount(window.used))
    amount, added = budget.amount(window.used), budget.amount(spend)
    crossed = [
        threshold
        for threshold in THRESHOLDS
        if threshold not in budget.fired
        and (amount - added) * 100 < threshold * budget.limit <= amount * 100
        and _was_armed(scope, budget, bucket, threshold, state)
    ]
    if crossed:
        _emit_crossing(scope, budget, crossed, window, event, emit, past=True)


def _list_past_windows(scope: Scope, budget: Budget, bucket: int, state: State) -> Iterator[Window]:
    """Yield the windows before the present that hold a bucket, up to that of the newest fact: later ones hold less."""
    if bucket == budget.newest.bucket:
        yield budget.newest
        return
    window = _read_window(scope, bucket, state)
    yield window
    for later in range(bucket + 1, min(bucket + BUCKETS, budget.newest.bucket, budget.present.bucket - 1) + 1):
        used = window.used.plus(scope.spent(later, state)).minus(scope.spent(later - BUCKETS - 1, state))
        window = Window(later, used)
        yield window


def _read_window(scope: Scope, last_bucket: int, state: State) -> Window:
    used = NOTHING
    for bucket in range(last_bucket - BUCKETS, last_bucket + 1):
        used = used.plus(scope.spent(bucket, state))
    return Window(last_bucket, used)


def _was_armed(scope: Scope, budget: Budget, bucket: int, threshold: int, state: State) -> bool:
    """Tell whether a threshold was armed before the windows that hold a bucket: of the windows of the length before it,
    the last that reached it or armed it again decides."""
    used = _read_window(scope, bucket - 1, state).used
    for last_bucket in range(bucket - 1, bucket - BUCKETS - 1, -1):
        if budget.amount(used) * 100 >= threshold * budget.limit:
            return False
        if _is_below_rearm_level(budget, used, threshold):
            return True
        used = used.minus(scope.spent(last_bucket, state)).plus(scope.spent(last_bucket - BUCKETS - 1, state))
    return True


def _rearm_thresholds(scope: Scope, budget: Budget, emit: Emit, **due: int) -> Budget:
    window = budget.present
    rearmed = [threshold for threshold in budget.fired if _is_below_rearm_level(budget, window.used, threshold)]
    thresholds = sorted(filter(None, rearmed))
    fields = {**due, **_scope_fields(scope), **_window_fields(scope, budget, window)}
    if UNKNOWN in rearmed:
        emit.decision(scope.organization, "unknown_usage.resolved", **fields)
    if thresholds:
        emit.decision(scope.organization, "threshold.rearmed", **_threshold_fields(thresholds), **fields)
    return replace(budget, fired=tuple(threshold for threshold in budget.fired if threshold not in rearmed))


def _cross_thresholds(scope: Scope, budget: Budget, event: Event, emit: Emit) -> Budget:
    """Fire the thresholds that the present window reaches: one decision names them all."""
    window, before = budget.present, budget.fired
    amount = budget.amount(window.used)
    crossed = [
        threshold for threshold in THRESHOLDS if amount * 100 >= threshold * budget.limit and threshold not in before
    ]
    is_raised = budget.denies(window.used) and UNKNOWN not in before
    if is_raised:
        emit.decision(
            scope.organization, "unknown_usage.raised", event_source=event.source, event_id=event.id,
            **_scope_fields(scope), **_window_fields(scope, budget, window),
        )  # fmt: skip
    if crossed:
        _emit_crossing(scope, budget, crossed, window, event, emit)
    fired = (*before, *([UNKNOWN] if is_raised else ()), *crossed)
    return budget if fired == before else replace(budget, fired=fired, rearm=-1)


def _emit_crossing(
    scope: Scope, budget: Budget, thresholds: list[int], window: Window, event: Event, emit: Emit, **past: bool
) -> None:
    emit.decision(
        scope.organization, "threshold.crossed", event_source=event.source, event_id=event.id, **past,
        **_scope_fields(scope), **_threshold_fields(thresholds), **_window_fields(scope, budget, window),
    )  # fmt: skip


def _store_budget(scope: Scope, before: Budget, budget: Budget, state: State) -> None:
    """Store the budget, due when time alone would arm one of its thresholds again, and delete the buckets that no
    window needs. More spend only delays that time, so the bucket found once stays a lower bound."""
    _delete_buckets(scope, before, budget, state)
    if not budget.fired:
        state.put(scope.key, budget)
        return
    if budget.rearm <= budget.present.bucket:
        below = (
            window.bucket
            for window in _windows_after(scope, budget, 1 << 62, state)
            if any(_is_below_rearm_level(budget, window.used, threshold) for threshold in budget.fired)
        )
        budget = replace(budget, rearm=next(below))
    state.put(scope.key, budget, budget.rearm * scope.bucket_us)


def _delete_buckets(scope: Scope, before: Budget, budget: Budget, state: State) -> None:
    last_before = min(before.newest.bucket, before.present.bucket)
    last = min(budget.newest.bucket, budget.present.bucket)
    if last_before < 0 or last == last_before:
        return
    first = last_before - STORED_BUCKETS
    for bucket in range(first, min(last - STORED_BUCKETS, before.newest.bucket + 1)):
        if state.get((*scope.buckets, bucket)) is not None:
            state.delete((*scope.buckets, bucket))


def _is_below_rearm_level(budget: Budget, used: Spend, threshold: int) -> bool:
    if threshold == UNKNOWN:
        return not budget.denies(used)
    return budget.amount(used) * 1000 < threshold * budget.limit * 9


def _register_scope(scope: Scope, state: State, is_removed: bool = False) -> None:
    """Note or strike a budget among the windows of its scope. A dimension stays noted, which costs a look at a row."""
    dimensions_key = (NAME, DIMENSIONS, scope.organization)
    state.put(dimensions_key, tuple(sorted({*(state.get(dimensions_key) or ()), scope.dimension})))
    windows_key = (NAME, WINDOWS, scope.organization, scope.dimension, scope.value)
    windows = {*(state.get(windows_key) or ()), scope.window_s} - ({scope.window_s} if is_removed else set())
    if windows:
        state.put(windows_key, tuple(sorted(windows)))
    else:
        state.delete(windows_key)


def _load_budget(scope: Scope, state: State) -> Budget | None:
    row = state.get(scope.key)
    if row is None or type(row) is Budget:
        return row
    budget = Budget(*row)  # lists where the store gave it
    present, newest = (Window(bucket, Spend(*used)) for bucket, used in (budget.present, budget.newest))
    return replace(budget, present=present, newest=newest, fired=tuple(budget.fired))


def _scope_fields(scope: Scope) -> dict[str, object]:
    return {"dimension": scope.dimension, "scope": scope.value, "window_s": scope.window_s}


def _threshold_fields(thresholds: list[int]) -> dict[str, object]:
    return {"threshold": thresholds[-1], "thresholds": thresholds}


def _window_fields(scope: Scope, budget: Budget, window: Window) -> dict[str, object]:
    used = window.used
    fields: dict[str, object] = {
        "limit": text(budget.limit), "currency": budget.currency, "used": text(budget.amount(used)),
        "window_end_us": (window.bucket + 1) * scope.bucket_us, "unknown_usage": budget.unknown_usage,
    }  # fmt: skip
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
    on_control={BudgetAllocated.control_type: set_limit, BudgetRemoved.control_type: remove},
    on_due=rearm_when_due,
    on_quarantined=add_spend,
)
