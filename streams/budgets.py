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
from typing import NamedTuple

from ledger.money import pico, text
from streams.emit import Emit
from streams.event import Event
from streams.rating import Entry
from streams.rows import Key, Rows

NAME = "budgets"
THRESHOLDS = (50, 80, 100)
BUCKETS = 60
BUDGET, WINDOWS, SCOPED, BUCKET = "budget", "windows", "dimensions", "bucket"


class Scope(NamedTuple):
    """Whose spend over what: a budget's identity."""

    organization: str
    dimension: str
    value: str
    window_s: int

    @property
    def bucket_us(self) -> int:
        return self.window_s * 1_000_000 // BUCKETS

    def key(self) -> Key:
        return (NAME, BUDGET, *self)


class Budget(NamedTuple):
    limit: int  # pico
    currency: str
    fired: tuple[int, ...] = ()  # the thresholds that are not armed
    bucket: int = -1  # the bucket of the clock
    used: int = 0  # pico in the window that ends there
    seen_us: int = 0  # the greatest event time
    seen_now_us: int = 0  # the log's time when it was seen
    rearm: int = -1  # no threshold is armed again before this bucket; -1 is not known yet

    def spent(self, used: int, time_us: int, now_us: int) -> "Budget":
        """With so much used, by an event of this time. (``_replace`` takes four times as long.)"""
        if time_us <= self.seen_us:
            time_us, now_us = self.seen_us, self.seen_now_us
        return Budget(self.limit, self.currency, self.fired, self.bucket, used, time_us, now_us, self.rearm)


def allocate(event: Event, rows: Rows, emit: Emit) -> None:
    """``budget.allocated``: a new budget, or another limit for one that stands."""
    body = event.data["body"]
    scope = Scope(event.organization, body["dimension"], body["scope"], body["window_s"])
    limit, currency = pico(str(body["limit"])), body["currency"]
    before = rows.get(scope.key())
    if before is not None and before[1] != currency:
        reason = f"the budget stands in {before[1]}: spend in {currency} takes another window"
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
        rows.put(scope.key(), Budget(limit, currency))
        return
    budget = Budget(*before)._replace(limit=limit, rearm=-1)
    budget = _rearm(scope, budget, emit)
    _keep(scope, _cross(scope, budget, budget.bucket, budget.used, event, emit), rows)


def spend(event: Event, entry: Entry, rows: Rows, emit: Emit) -> None:
    """A counted inference is added to the budgets of its scopes."""
    if not entry.billed_cost:
        return
    for dimension in rows.get((NAME, SCOPED, event.organization)) or ():
        value = event.organization if dimension == "organization" else event.data.get(dimension)
        if value is None:
            continue
        for window_s in rows.get((NAME, WINDOWS, event.organization, dimension, value)) or ():
            _spend(Scope(event.organization, dimension, value, window_s), event, entry, rows, emit)


def due(key: Key, at_us: int, rows: Rows, emit: Emit) -> None:
    """Time alone has emptied the window so far that a threshold is armed again."""
    organization, dimension, value, window_s = key[2:]
    scope = Scope(str(organization), str(dimension), str(value), int(window_s))
    budget = Budget(*rows.get(key))
    clock_us = budget.seen_us + at_us - budget.seen_now_us
    bucket = max(budget.bucket, clock_us // scope.bucket_us)
    _keep(scope, _advance(scope, budget, bucket, rows, emit), rows)


def _spend(scope: Scope, event: Event, entry: Entry, rows: Rows, emit: Emit) -> None:
    budget = Budget(*rows.get(scope.key()))
    if entry.currency != budget.currency:
        return
    bucket = event.time_us // scope.bucket_us
    if budget.bucket < 0:
        budget = budget._replace(bucket=bucket)
    elif bucket > budget.bucket:
        budget = _advance(scope, budget, bucket, rows, emit)
    elif bucket < budget.bucket - BUCKETS:
        return
    key = _bucket(scope, bucket)
    rows.put(key, (rows.get(key) or 0) + entry.billed_cost)
    used = budget.used + entry.billed_cost
    budget = budget.spent(used, event.time_us, emit.now_us)
    if bucket < budget.bucket:
        used = sum(rows.get(_bucket(scope, one)) or 0 for one in range(bucket - BUCKETS, bucket + 1))
    _keep(scope, _cross(scope, budget, bucket, used, event, emit), rows)


def _advance(scope: Scope, budget: Budget, bucket: int, rows: Rows, emit: Emit) -> Budget:
    """Move the clock on, and forget the buckets that no window needs: a late fact's reaches back two."""
    before, used = budget.bucket, budget.used
    for step, used in _emptying(scope, budget, bucket, rows):
        if budget.fired:
            budget = _rearm(scope, budget._replace(used=used, bucket=step), emit, due_us=step * scope.bucket_us)
    for old in range(before - 2 * BUCKETS, min(before, bucket - 2 * BUCKETS - 1) + 1):
        if rows.get(_bucket(scope, old)) is not None:
            rows.delete(_bucket(scope, old))
    return budget._replace(used=used, bucket=bucket)


def _emptying(scope: Scope, budget: Budget, until: int, rows: Rows) -> Iterator[tuple[int, int]]:
    """The spend of the window as time alone passes: (bucket, used), up to a bucket or an empty window."""
    used = budget.used
    for step in range(budget.bucket + 1, min(until, budget.bucket + BUCKETS + 1) + 1):
        used -= rows.get(_bucket(scope, step - BUCKETS - 1)) or 0
        yield step, used


def _rearm(scope: Scope, budget: Budget, emit: Emit, **when: int) -> Budget:
    armed = [threshold for threshold in budget.fired if _below(budget.used, threshold, budget.limit)]
    for threshold in armed:
        emit.decision(
            scope.organization, "threshold.rearmed", **when,
            **_name(scope), **_figures(scope, budget, threshold, budget.bucket, budget.used),
        )  # fmt: skip
    return budget._replace(fired=tuple(one for one in budget.fired if one not in armed))


def _cross(scope: Scope, budget: Budget, bucket: int, used: int, event: Event, emit: Emit) -> Budget:
    if used * 100 < THRESHOLDS[0] * budget.limit:
        return budget
    for threshold in THRESHOLDS:
        if threshold not in budget.fired and used * 100 >= threshold * budget.limit:
            emit.decision(
                scope.organization, "threshold.crossed", event_source=event.source, event_id=event.id,
                **_name(scope), **_figures(scope, budget, threshold, bucket, used),
            )  # fmt: skip
            budget = budget._replace(fired=(*budget.fired, threshold), rearm=-1)
    return budget


def _keep(scope: Scope, budget: Budget, rows: Rows) -> None:
    """Put the budget, due when time alone would arm one of its thresholds again.

    More spend only delays that, so the bucket found once stays a lower bound. The due time is rounded up to a
    whole bucket, or each event of a trace that is read at full speed would move it.
    """
    if not budget.fired:
        rows.put(scope.key(), budget)
        return
    if budget.rearm <= budget.bucket:
        steps = _emptying(scope, budget, budget.bucket + BUCKETS + 1, rows)
        below = (step for step, used in steps if any(_below(used, one, budget.limit) for one in budget.fired))
        budget = budget._replace(rearm=next(below))
    due_us = budget.rearm * scope.bucket_us - budget.seen_us + budget.seen_now_us
    rows.put(scope.key(), budget, -(-due_us // scope.bucket_us) * scope.bucket_us)


def _below(used: int, threshold: int, limit: int) -> bool:
    return used * 1000 < threshold * limit * 9


def _register(scope: Scope, rows: Rows) -> None:
    scoped = (NAME, SCOPED, scope.organization)
    rows.put(scoped, tuple(sorted({*(rows.get(scoped) or ()), scope.dimension})))
    windows = (NAME, WINDOWS, *scope[:3])
    rows.put(windows, tuple(sorted({*(rows.get(windows) or ()), scope.window_s})))


def _bucket(scope: Scope, bucket: int) -> Key:
    return (NAME, BUCKET, *scope, bucket)


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
