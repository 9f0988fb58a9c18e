"""How fast a budget is spent, and where that leads (pure). A rolling window forgets as it goes: at a steady rate its
spend comes to rest, so the limit is reached only where the rate outruns what falls out of the window."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

RECENT_BUCKETS = 6
"""The rate is that of so many whole buckets, a tenth of the window, and of the one that is under way."""
_context = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Burn(NamedTuple):
    """``per_hour`` is spend an hour, over the last ``seconds``. ``rests`` is what a window holds of it in the end, and
    ``reached`` when it reaches the limit; None where it does not, or has already."""

    per_hour: Decimal
    seconds: int
    steady_spend: Decimal
    limit_reached_at: datetime | None


def compute_burn(spend: Sequence[Decimal], limit: Decimal, bucket_s: int, clock: datetime, window_end: datetime) -> Burn:
    """Of a window's buckets, the oldest first; the last one, in which the clock stands, ends at ``ends``."""
    elapsed_s = max(0, bucket_s - int((window_end - clock).total_seconds()))
    seconds = RECENT_BUCKETS * bucket_s + elapsed_s
    rate = _context.divide(sum(spend[-RECENT_BUCKETS - 1 :], Decimal(0)), Decimal(seconds))
    per_hour = (rate * 3600).quantize(Decimal(1).scaleb(-12), context=_context)
    steady_spend = (rate * bucket_s * (len(spend) - 1)).quantize(Decimal(1).scaleb(-12), context=_context)
    return Burn(per_hour, seconds, steady_spend, _find_limit_time(spend, limit, bucket_s, clock, window_end, rate))


def _find_limit_time(
    spend: Sequence[Decimal], limit: Decimal, bucket_s: int, clock: datetime, window_end: datetime, rate: Decimal
) -> datetime | None:
    """When spend at this rate, and what of the window's is left by then, come to the limit."""
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
