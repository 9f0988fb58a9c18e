"""Budgets: the spend of a scope over a rolling window, and the thresholds it crosses (docs/rules.md, R13).

The *present* window ends with the bucket of the log's time, and holds facts whose time is a little ahead too. So what
is spent now does not depend on the order in which facts arrive. A threshold of the present fires once, and is armed
again when the window's spend falls below nine tenths of it.

A fact of the past is judged in the present window, where that holds it, and in each window before that does. A
threshold that is crossed only there makes a decision that says so, and arms or fires nothing. What is more than two
windows older than the newest fact, or than the present, is entered in the ledger, and not judged.

Calls whose spend is not known are counted beside it, with the most that they may cost. The budget's policy,
``unknown_usage``, decides what they are worth: nothing (``tokens_only``, the default), the most that they may cost
(``assume_greatest``), or a decision of their own as soon as one lies in the present window (``deny``). Buckets hold
both figures, so another policy judges the same window anew.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from ledger.money import pico, text
from ledger.outcomes import RESTATEMENT
from streams.folds.budget_windows import (
    DIMENSIONS,
    NAME,
    STORED_BUCKETS,
    THRESHOLDS,
    UNKNOWN,
    WINDOWS,
    Budget,
    Scope,
    Spend,
    Window,
    find_scope,
    is_below_rearm_level,
    list_past_windows,
    list_windows_after,
    load_budget,
    move_newest,
    was_armed,
)
from streams.folds.currencies import find_uncounted
from streams.folds.emit import Emit
from streams.folds.entry import Documents, Entry, EntryChange, RatedCall
from streams.folds.event import Event
from streams.folds.fold import Fold
from streams.folds.state import Key, State
from tallystick.vocabulary.controls.budgets import DEFAULT_UNKNOWN_USAGE, BudgetAllocated, BudgetRemoved


def set_limit(event: Event, state: State, documents: Documents, emit: Emit) -> None:
    """Apply ``budget.allocated``: make a budget, or give one another limit."""
    body = event.data["body"]
    scope = find_scope(event.organization, body["dimension"], body["scope"], body["window_s"])
    limit, currency = pico(str(body["limit"])), body["currency"]
    unknown_usage = body.get("unknown_usage", DEFAULT_UNKNOWN_USAGE)
    before = load_budget(scope, state)
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
    scope = find_scope(event.organization, body["dimension"], body["scope"], body["window_s"])
    budget = load_budget(scope, state)
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
        budget = load_budget(scope, state)
        if budget is not None and budget.fired:
            _store_budget(scope, budget, _rearm_thresholds(scope, budget, emit), state)


def _add_restated(call: RatedCall, state: State, emit: Emit) -> None:
    """Add a call by other prices to the budgets that counted it."""
    if not call.is_in_windows:
        return
    for scope in _find_scopes(call.event, call.entry, state):
        budget = load_budget(scope, state)
        if budget is not None and call.position >= (budget.since_offset, budget.since_index):
            _add_to_budget(scope, call.event, call.entry, state, emit)


def rearm_when_due(key: Key, due_us: int, state: State, emit: Emit) -> None:
    """Arm thresholds again where time alone has emptied the window far enough."""
    organization, dimension, value, window_s = key[2:]
    scope = find_scope(str(organization), str(dimension), str(value), int(window_s))
    budget = load_budget(scope, state)
    assert budget is not None
    _store_budget(scope, budget, _move_present(scope, budget, due_us, state, emit), state)


def _find_scopes(event: Event, entry: Entry, state: State) -> Iterator[Scope]:
    for dimension in state.get((NAME, DIMENSIONS, event.organization)) or ():
        value = event.organization if dimension == "organization" else getattr(entry.dimensions, dimension)
        if value is None:
            continue
        for window_s in state.get((NAME, WINDOWS, event.organization, dimension, value)) or ():
            yield find_scope(event.organization, dimension, value, window_s)


def _take_from_budget(scope: Scope, call: RatedCall, state: State, emit: Emit) -> None:
    """Take a call out of the bucket of its time, if the budget counted it and still judges the bucket.

    A call that is judged now was judged when it came, for neither the newest fact nor the present goes back: so it was
    added. Of an older call nobody knows that.
    """
    before = load_budget(scope, state)
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
    before = load_budget(scope, state)
    if before is None or entry.currency not in (before.currency, None):  # without a price a call has no currency
        return
    bucket = event.time_us // scope.bucket_us
    if not before.judges(bucket, emit.now_us // scope.bucket_us):
        return
    budget = _move_present(scope, before, emit.now_us, state, emit)
    present, newest = budget.present, budget.newest
    if bucket > newest.bucket:
        newest = move_newest(scope, newest, bucket, state)
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
    for window in list_windows_after(scope, budget, bucket, state):
        used = window.used
        if budget.fired:
            budget = replace(budget, present=window)
            budget = _rearm_thresholds(scope, budget, emit, due_us=window.bucket * scope.bucket_us)
    return replace(budget, present=Window(bucket, used))


def _judge_past(
    scope: Scope, budget: Budget, bucket: int, spend: Spend, event: Event, state: State, emit: Emit
) -> None:
    """Tell which thresholds a fact made the windows before the present cross that hold it, and the present did not."""
    window = max(list_past_windows(scope, budget, bucket, state), key=lambda window: budget.amount(window.used))
    amount, added = budget.amount(window.used), budget.amount(spend)
    crossed = [
        threshold
        for threshold in THRESHOLDS
        if threshold not in budget.fired
        and (amount - added) * 100 < threshold * budget.limit <= amount * 100
        and was_armed(scope, budget, bucket, threshold, state)
    ]
    if crossed:
        _emit_crossing(scope, budget, crossed, window, event, emit, past=True)


def _rearm_thresholds(scope: Scope, budget: Budget, emit: Emit, **due: int) -> Budget:
    window = budget.present
    rearmed = [threshold for threshold in budget.fired if is_below_rearm_level(budget, window.used, threshold)]
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
            for window in list_windows_after(scope, budget, 1 << 62, state)
            if any(is_below_rearm_level(budget, window.used, threshold) for threshold in budget.fired)
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
