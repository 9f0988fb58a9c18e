"""The pace at which an agent of a session spends, against what it spends in a minute elsewhere (pure).

A minute is compared with the dear minutes that the agent had before: three of four cost less. A one-sided CUSUM sums by
how often a minute costs more than twice that, so that one wild minute, or several that are dear, are found, and minutes
that vary are not. Its bounds are those of a simulation (``benchmarks/runaways/pace.py``).
"""

from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ledger.money import PICO

MINUTE_US = 60 * 1_000_000
MAX_MINUTES = 60
"""Minutes with calls that are kept of an agent."""
MIN_MINUTES = 10
"""An agent with fewer has no pace of its own yet."""
THOUSANDTHS = 1_000
ALLOWANCE, LIMIT, MAX_RATIO = 2 * THOUSANDTHS, 12 * THOUSANDTHS, 16 * THOUSANDTHS
"""In thousandths of the agent's dear minute: what is usual, the sum above it that is found, and the most that one
minute counts."""
MIN_EXCESS = 1 * PICO
"""Units of a currency above what is usual, in the minute at hand: what costs less is not worth a message."""


class Pace(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The minute at hand of an agent in a session: its cost in pico, and the sum of the minutes before."""

    currency: str
    minute: int
    cost: int = 0
    sum: int = 0
    is_fast: bool = False


class Spending(NamedTuple):
    """A pace, and the cost of the minute that it closed; None where it closed none."""

    pace: Pace
    closed: int | None


def spend(pace: Pace | None, currency: str, time_us: int, cost: int, usual: int | None) -> Spending:
    """Add the cost of a call. ``usual`` is what a dear minute of the agent costs; None where that is not known yet.
    Costs of another currency than the first are left out."""
    minute = time_us // MINUTE_US
    if pace is None:
        pace = Pace(currency, minute)
    if currency != pace.currency or minute < pace.minute:
        return Spending(pace, None)
    closed = None
    if minute > pace.minute:
        closed = pace.cost
        rest = max(0, _add_minute(pace, usual) - ALLOWANCE * (minute - pace.minute - 1))
        pace = replace(pace, minute=minute, cost=0, sum=min(rest, LIMIT), is_fast=pace.is_fast and rest > 0)
    pace = replace(pace, cost=pace.cost + cost)
    is_found = usual is not None and _add_minute(pace, usual) >= LIMIT and pace.cost - usual >= MIN_EXCESS
    return Spending(replace(pace, is_fast=True) if is_found else pace, closed)


def find_usual(costs: tuple[int, ...]) -> int | None:
    """Return what a dear minute costs, the third quartile; None where too few minutes are known."""
    if len(costs) < MIN_MINUTES:
        return None
    return sorted(costs)[3 * len(costs) // 4] or None


def keep_minute(costs: tuple[int, ...], cost: int) -> tuple[int, ...]:
    """Return the minutes with one more. A wild one is kept too: quartiles hardly move by it."""
    return (*costs, cost)[-MAX_MINUTES:]


def _add_minute(pace: Pace, usual: int | None) -> int:
    if usual is None:
        return 0
    return max(0, pace.sum + min(pace.cost * THOUSANDTHS // usual, MAX_RATIO) - ALLOWANCE)
