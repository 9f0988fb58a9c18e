"""Budgets as they are kept: the spend of buckets and of windows, and the thresholds that are not armed.

Spend falls into tumbling buckets, a sixtieth of the window each. A window is the bucket that it ends with and the sixty
before it, so the oldest, of which only a part lies in the window, counts whole.
"""

from collections.abc import Iterator
from functools import lru_cache
from operator import add, sub
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from streams.folds.state import Key, State
from tallystick.vocabulary.controls.budgets import DEFAULT_UNKNOWN_USAGE

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


find_scope = lru_cache(maxsize=10_000)(Scope)


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


def read_budget(
    organization: str, dimension: str, value: str, window_s: int, now_us: int, state: State
) -> Budget | None:
    """Return a budget as it is at a moment of the log's time; None where there is none. Nothing is written."""
    scope = find_scope(organization, dimension, value, window_s)
    budget = load_budget(scope, state)
    if budget is None:
        return None
    bucket = now_us // scope.bucket_us
    windows = [budget.present, *list_windows_after(scope, budget, bucket, state)]
    fired = budget.fired
    for window in windows:
        fired = tuple(threshold for threshold in fired if not is_below_rearm_level(budget, window.used, threshold))
    return replace(budget, present=Window(max(bucket, budget.present.bucket), windows[-1].used), fired=fired)


def list_windows_after(scope: Scope, budget: Budget, last_bucket: int, state: State) -> Iterator[Window]:
    """Yield the present window as time alone passes, up to a bucket or until it is empty."""
    first, used = budget.present
    for bucket in range(first + 1, min(last_bucket, max(first, budget.newest.bucket) + BUCKETS + 1) + 1):
        used = used.minus(scope.spent(bucket - BUCKETS - 1, state))
        yield Window(bucket, used)


def move_newest(scope: Scope, newest: Window, bucket: int, state: State) -> Window:
    """Move the window of the newest fact on to a bucket in which nothing is spent yet."""
    if bucket - newest.bucket > BUCKETS:
        return Window(bucket)
    used = newest.used
    for expired in range(newest.bucket - BUCKETS, bucket - BUCKETS):
        used = used.minus(scope.spent(expired, state))
    return Window(bucket, used)


def list_past_windows(scope: Scope, budget: Budget, bucket: int, state: State) -> Iterator[Window]:
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


def was_armed(scope: Scope, budget: Budget, bucket: int, threshold: int, state: State) -> bool:
    """Tell whether a threshold was armed before the windows that hold a bucket: of the windows of the length before it,
    the last that reached it or armed it again decides."""
    used = _read_window(scope, bucket - 1, state).used
    for last_bucket in range(bucket - 1, bucket - BUCKETS - 1, -1):
        if budget.amount(used) * 100 >= threshold * budget.limit:
            return False
        if is_below_rearm_level(budget, used, threshold):
            return True
        used = used.minus(scope.spent(last_bucket, state)).plus(scope.spent(last_bucket - BUCKETS - 1, state))
    return True


def is_below_rearm_level(budget: Budget, used: Spend, threshold: int) -> bool:
    if threshold == UNKNOWN:
        return not budget.denies(used)
    return budget.amount(used) * 1000 < threshold * budget.limit * 9


def load_budget(scope: Scope, state: State) -> Budget | None:
    row = state.get(scope.key)
    if row is None or type(row) is Budget:
        return row
    budget = Budget(*row)  # lists where the store gave it
    present, newest = (Window(bucket, Spend(*used)) for bucket, used in (budget.present, budget.newest))
    return replace(budget, present=present, newest=newest, fired=tuple(budget.fired))
