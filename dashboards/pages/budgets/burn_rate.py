"""The burn rate of a budget, and its forecast (pure). Spend leaves a rolling window as time passes: at a steady rate
the window's spend settles, so the limit is reached only where the rate exceeds the spend that leaves."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

RECENT_BUCKETS = 6
"""Whole buckets that the rate covers, a tenth of the window, beside the current one."""
_context = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Burn(NamedTuple):
    """``per_hour`` is spend per hour over the last ``seconds``. ``steady_spend`` is a window's spend once the rate has
    filled it; ``limit_reached_at`` is None where spend does not reach the limit, or has already."""

    per_hour: Decimal
    seconds: int
    steady_spend: Decimal
    limit_reached_at: datetime | None


def compute_burn(
    spend: Sequence[Decimal], limit: Decimal, bucket_s: int, clock: datetime, window_end: datetime
) -> Burn:
    """Compute the burn rate from a window's buckets, the oldest first; the last one holds the clock and ends at
    ``window_end``."""
    elapsed_s = max(0, bucket_s - int((window_end - clock).total_seconds()))
    seconds = RECENT_BUCKETS * bucket_s + elapsed_s
    rate = _context.divide(sum(spend[-RECENT_BUCKETS - 1 :], Decimal(0)), Decimal(seconds))
    per_hour = (rate * 3600).quantize(Decimal(1).scaleb(-12), context=_context)
    steady_spend = (rate * bucket_s * (len(spend) - 1)).quantize(Decimal(1).scaleb(-12), context=_context)
    return Burn(per_hour, seconds, steady_spend, _find_limit_time(spend, limit, bucket_s, clock, window_end, rate))


def _find_limit_time(
    spend: Sequence[Decimal], limit: Decimal, bucket_s: int, clock: datetime, window_end: datetime, rate: Decimal
) -> datetime | None:
    """Return the time at which spend at this rate, and what the window still holds by then, reach the limit."""
    amount = sum(spend, Decimal(0))
    if amount >= limit or not rate:
        return None
    until_s = (window_end - clock) / timedelta(seconds=1)
    for bucket in (*spend, Decimal(0)):
        wait_s = _context.divide(limit - amount, rate)
        if wait_s <= Decimal(until_s):
            return clock + timedelta(seconds=int(wait_s))
        amount -= bucket
        until_s += bucket_s
    return None
