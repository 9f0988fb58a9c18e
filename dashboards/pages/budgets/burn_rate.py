"""How fast a budget is spent, and where that leads (pure). A rolling window forgets as it goes: at a steady rate its
spend comes to rest, so the limit is reached only where the rate outruns what falls out of the window."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

RECENT = 6
"""The rate is that of so many whole buckets, a tenth of the window, and of the one that is under way."""
_context = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Burn(NamedTuple):
    """``per_hour`` is spend an hour, over the last ``seconds``. ``rests`` is what a window holds of it in the end, and
    ``reached`` when it reaches the limit; None where it does not, or has already."""

    per_hour: Decimal
    seconds: int
    rests: Decimal
    reached: datetime | None


def burn(spend: Sequence[Decimal], limit: Decimal, bucket_s: int, clock: datetime, ends: datetime) -> Burn:
    """Of a window's buckets, the oldest first; the last one, in which the clock stands, ends at ``ends``."""
    begun = max(0, bucket_s - int((ends - clock).total_seconds()))
    seconds = RECENT * bucket_s + begun
    rate = _context.divide(sum(spend[-RECENT - 1 :], Decimal(0)), Decimal(seconds))
    per_hour = (rate * 3600).quantize(Decimal(1).scaleb(-12), context=_context)
    rests = (rate * bucket_s * (len(spend) - 1)).quantize(Decimal(1).scaleb(-12), context=_context)
    return Burn(per_hour, seconds, rests, _reached(spend, limit, bucket_s, clock, ends, rate))


def _reached(
    spend: Sequence[Decimal], limit: Decimal, bucket_s: int, clock: datetime, ends: datetime, rate: Decimal
) -> datetime | None:
    """When spend at this rate, and what of the window's is left by then, come to the limit."""
    left = sum(spend, Decimal(0))
    if left >= limit or not rate:
        return None
    until = (ends - clock) / timedelta(seconds=1)
    for forgotten in (*spend, Decimal(0)):
        wait = _context.divide(limit - left, rate)
        if wait <= Decimal(until):
            return clock + timedelta(seconds=int(wait))
        left -= forgotten
        until += bucket_s
    return None
