"""The pace at which an agent of a session spends, against what it spends in a minute elsewhere (pure).

A minute is compared with the dear minutes that the agent had before: three of four cost less. A one-sided CUSUM sums by
how often a minute costs more than twice that, so that one wild minute, or several that are dear, are found, and minutes
that vary are not. Its bounds are those of a simulation (``benchmarks/runaways/pace.py``).
"""

from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ledger.money import PICO
from ledger.runaway_rules import Thresholds

MINUTE_US = 60 * 1_000_000
MAX_MINUTES = 120
"""Minutes with calls that are kept of an agent."""
MIN_MINUTES, MIN_SESSIONS = 10, 4
"""An agent with fewer has no pace of its own yet."""
THOUSANDTHS = 1_000
ALLOWANCE, MAX_RATIO = 2 * THOUSANDTHS, 20 * THOUSANDTHS
"""In thousandths of the agent's dear minute: what is usual, and the most that one minute counts."""
LIMIT = Thresholds().fast_spend * THOUSANDTHS
"""The sum above what is usual that is found where no rules say another."""
MIN_EXCESS = 1 * PICO
"""Units of a currency above what is usual, in the minute at hand: what costs less is not worth a message."""


class Pace(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The minute at hand of an agent in a session: its cost in pico, and the sum of the minutes before."""

    currency: str
    minute: int
    cost: int = 0
    sum: int = 0
    is_fast: bool = False
    is_kept: bool = False  # a minute of the session is among those of its agent


class Habit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the last minutes of an agent cost, in how many sessions, and when it last made a call."""

    minutes: tuple[int, ...] = ()
    sessions: int = 0
    last_us: int = 0


class Spending(NamedTuple):
    """A pace, and the habit of its agent, after a call."""

    pace: Pace
    habit: Habit


def spend(
    pace: Pace | None, habit: Habit, currency: str, time_us: int, cost: int, limit: int | None = LIMIT
) -> Spending:
    """Add the cost of a call; the minute that it ends becomes one of the agent's. Costs of another currency than the
    session's first are left out. Without a limit nothing is found."""
    minute = time_us // MINUTE_US
    if pace is None:
        pace = Pace(currency, minute)
    if currency != pace.currency or minute < pace.minute:
        return Spending(pace, habit)
    usual = None if limit is None else find_usual(habit)
    if minute > pace.minute:
        habit = _keep_minute(habit, pace, time_us)
        rest = max(0, _add_minute(pace, usual) - ALLOWANCE * (minute - pace.minute - 1))
        is_fast = pace.is_fast and rest > 0
        pace = replace(pace, minute=minute, cost=0, sum=min(rest, limit or 0), is_fast=is_fast, is_kept=True)
    pace = replace(pace, cost=pace.cost + cost)
    if usual is None or limit is None:
        return Spending(pace, habit)
    is_found = _add_minute(pace, usual) >= limit and pace.cost - usual >= MIN_EXCESS
    return Spending(replace(pace, is_fast=True) if is_found else pace, habit)


def find_usual(habit: Habit) -> int | None:
    """Return what a dear minute costs, the third quartile; None where too few minutes or sessions are known."""
    if len(habit.minutes) < MIN_MINUTES or habit.sessions < MIN_SESSIONS:
        return None
    return sorted(habit.minutes)[3 * len(habit.minutes) // 4] or None


def _keep_minute(habit: Habit, pace: Pace, time_us: int) -> Habit:
    """Return the habit with one more minute. A wild one is kept too: quartiles hardly move by it."""
    minutes = (*habit.minutes, pace.cost)[-MAX_MINUTES:]
    return Habit(minutes, habit.sessions + (not pace.is_kept), max(habit.last_us, time_us))


def _add_minute(pace: Pace, usual: int | None) -> int:
    if usual is None:
        return 0
    return max(0, pace.sum + min(pace.cost * THOUSANDTHS // usual, MAX_RATIO) - ALLOWANCE)
