"""Budgets: what a scope spent over a rolling window, and the thresholds it crosses.

Spend falls into tumbling buckets, a sixtieth of the window each, and is summed on read: the bucket of the
moment and the sixty before it. So the oldest, of which only a part lies in the window, counts whole: a window
is seen up to one bucket too long. A fact is judged in the window that ends at its own bucket. A threshold
fires once, and is armed again when the window's spend falls below nine tenths of it.

A budget's clock stands at the greatest event time it has seen and runs on with the log's time, so that a
trace of last year and live calls are judged alike. What it counts begins with its first allocation. An event
more than a window older than the clock is entered in the ledger, and no longer judged.
"""

from collections.abc import Iterator
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from ledger.money import pico, text
from streams.folds.emit import Emit
from streams.folds.entry import Entry
from streams.folds.event import Event
from streams.folds.state import Key, State

NAME = "budgets"
THRESHOLDS = (50, 80, 100)
BUCKETS = 60
BUDGET, WINDOWS, SCOPED, BUCKET = "budget", "windows", "dimensions", "bucket"


class Scope(msgspec.Struct):
    """Whose spend over what: a budget's identity, with the keys of its rows."""

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

    def spent(self, bucket: int, rows: State) -> int:
        return rows.get((*self.buckets, bucket)) or 0


_scope = lru_cache(maxsize=10_000)(Scope)


class Budget(msgspec.Struct, frozen=True, array_like=True, gc=False):
    limit: int  # pico
    currency: str
    fired: tuple[int, ...] = ()  # the thresholds that are not armed
    bucket: int = -1  # the bucket of the clock
    used: int = 0  # pico in the window that ends there
    seen_us: int = 0  # the greatest event time
    seen_now_us: int = 0  # the log's time when it was seen
    rearm: int = -1  # no threshold is armed again before this bucket; -1 is not known yet


def set_limit(event: Event, rows: State, emit: Emit) -> None:
    """``budget.allocated``: a new budget, or another limit for one that stands."""
    body = event.data["body"]
    scope = _scope(event.organization, body["dimension"], body["scope"], body["window_s"])
    limit, currency = pico(str(body["limit"])), body["currency"]
    before = _budget(scope, rows)
    if before is not None and before.currency != currency:
        reason = f"the budget stands in {before.currency}: spend in {currency} takes another window"
        emit.decision(
            event.organization, "control.ineffective", control_type="budget.allocated", reason=reason,
            event_source=event.source, event_id=event.id,
        )  # fmt: skip
        return
    emit.decision(
        event.organization, "control.applied", control_type="budget.allocated",
        event_source=event.source, event_id=event.id, **_name(scope), limit=text(limit), currency=currency,
    )  # fmt: skip
    if before is None:
        _register(scope, rows)
        rows.put(scope.key, Budget(limit, currency))
        return
    budget = replace(before, limit=limit, rearm=-1)
    budget = _rearm(scope, budget, emit)
    _keep(scope, _cross(scope, budget, budget.bucket, budget.used, event, emit), rows)


def add_spend(event: Event, entry: Entry, rows: State, emit: Emit) -> None:
    """A counted inference is added to the budgets of its scopes."""
    if not entry.billed_cost:
        return
    for dimension in rows.get((NAME, SCOPED, event.organization)) or ():
        value = event.organization if dimension == "organization" else getattr(entry.dimensions, dimension)
        if value is None:
            continue
        for window_s in rows.get((NAME, WINDOWS, event.organization, dimension, value)) or ():
            _spend(_scope(event.organization, dimension, value, window_s), event, entry, rows, emit)


def rearm_when_due(key: Key, at_us: int, rows: State, emit: Emit) -> None:
    """Time alone has emptied the window so far that a threshold is armed again."""
    organization, dimension, value, window_s = key[2:]
    scope = _scope(str(organization), str(dimension), str(value), int(window_s))
    budget = _budget(scope, rows)
    assert budget is not None
    clock_us = budget.seen_us + at_us - budget.seen_now_us
    bucket = max(budget.bucket, clock_us // scope.bucket_us)
    _keep(scope, _advance(scope, budget, bucket, rows, emit), rows)


def _spend(scope: Scope, event: Event, entry: Entry, rows: State, emit: Emit) -> None:
    budget = _budget(scope, rows)
    if budget is None or entry.currency != budget.currency:
        return
    bucket = event.time_us // scope.bucket_us
    if budget.bucket < 0:
        budget = replace(budget, bucket=bucket)
    elif bucket > budget.bucket:
        budget = _advance(scope, budget, bucket, rows, emit)
    elif bucket < budget.bucket - BUCKETS:
        return
    rows.put((*scope.buckets, bucket), scope.spent(bucket, rows) + entry.billed_cost)
    used = budget.used + entry.billed_cost
    seen = (event.time_us, emit.now_us) if event.time_us > budget.seen_us else (budget.seen_us, budget.seen_now_us)
    budget = Budget(budget.limit, budget.currency, budget.fired, budget.bucket, used, *seen, budget.rearm)
    for later in range(bucket + 1, budget.bucket + 1):  # of a late fact: back to the window that ended there
        used += scope.spent(later - BUCKETS - 1, rows) - scope.spent(later, rows)
    if used * 100 >= THRESHOLDS[0] * budget.limit:
        budget = _cross(scope, budget, bucket, used, event, emit)
    _keep(scope, budget, rows)


def _advance(scope: Scope, budget: Budget, bucket: int, rows: State, emit: Emit) -> Budget:
    """Move the clock on, and forget the buckets that no window needs: a late fact's reaches back two."""
    before, used = budget.bucket, budget.used
    for step, used in _emptying(scope, budget, bucket, rows):
        if budget.fired:
            budget = _rearm(scope, replace(budget, bucket=step, used=used), emit, due_us=step * scope.bucket_us)
    for old in range(before - 2 * BUCKETS, min(before, bucket - 2 * BUCKETS - 1) + 1):
        if rows.get((*scope.buckets, old)) is not None:
            rows.delete((*scope.buckets, old))
    return replace(budget, bucket=bucket, used=used)


def _emptying(scope: Scope, budget: Budget, until: int, rows: State) -> Iterator[tuple[int, int]]:
    """The spend of the window as time alone passes: (bucket, used), up to a bucket or an empty window."""
    used = budget.used
    for step in range(budget.bucket + 1, min(until, budget.bucket + BUCKETS + 1) + 1):
        used -= scope.spent(step - BUCKETS - 1, rows)
        yield step, used


def _rearm(scope: Scope, budget: Budget, emit: Emit, **when: int) -> Budget:
    armed = [threshold for threshold in budget.fired if _below(budget.used, threshold, budget.limit)]
    for threshold in armed:
        emit.decision(
            scope.organization, "threshold.rearmed", **when,
            **_name(scope), **_figures(scope, budget, threshold, budget.bucket, budget.used),
        )  # fmt: skip
    return replace(budget, fired=tuple(one for one in budget.fired if one not in armed))


def _cross(scope: Scope, budget: Budget, bucket: int, used: int, event: Event, emit: Emit) -> Budget:
    for threshold in THRESHOLDS:
        if threshold not in budget.fired and used * 100 >= threshold * budget.limit:
            emit.decision(
                scope.organization, "threshold.crossed", event_source=event.source, event_id=event.id,
                **_name(scope), **_figures(scope, budget, threshold, bucket, used),
            )  # fmt: skip
            budget = replace(budget, fired=(*budget.fired, threshold), rearm=-1)
    return budget


def _keep(scope: Scope, budget: Budget, rows: State) -> None:
    """Put the budget, due when time alone would arm one of its thresholds again.

    More spend only delays that, so the bucket found once stays a lower bound. The due time is rounded up to a
    whole bucket, or each event of a trace that is read at full speed would move it.
    """
    if not budget.fired:
        rows.put(scope.key, budget)
        return
    if budget.rearm <= budget.bucket:
        steps = _emptying(scope, budget, budget.bucket + BUCKETS + 1, rows)
        below = (step for step, used in steps if any(_below(used, one, budget.limit) for one in budget.fired))
        budget = replace(budget, rearm=next(below))
    due_us = budget.rearm * scope.bucket_us - budget.seen_us + budget.seen_now_us
    rows.put(scope.key, budget, -(-due_us // scope.bucket_us) * scope.bucket_us)


def _below(used: int, threshold: int, limit: int) -> bool:
    return used * 1000 < threshold * limit * 9


def _register(scope: Scope, rows: State) -> None:
    scoped = (NAME, SCOPED, scope.organization)
    rows.put(scoped, tuple(sorted({*(rows.get(scoped) or ()), scope.dimension})))
    windows = (NAME, WINDOWS, scope.organization, scope.dimension, scope.value)
    rows.put(windows, tuple(sorted({*(rows.get(windows) or ()), scope.window_s})))


def _budget(scope: Scope, rows: State) -> Budget | None:
    kept = rows.get(scope.key)
    return kept if kept is None or type(kept) is Budget else Budget(*kept)  # a list where the store gave it


def _name(scope: Scope) -> dict[str, object]:
    return {"dimension": scope.dimension, "scope": scope.value, "window_s": scope.window_s}


def _figures(scope: Scope, budget: Budget, threshold: int, bucket: int, used: int) -> dict[str, object]:
    return {
        "limit": text(budget.limit),
        "currency": budget.currency,
        "threshold": threshold,
        "used": text(used),
        "window_end_us": (bucket + 1) * scope.bucket_us,
    }
