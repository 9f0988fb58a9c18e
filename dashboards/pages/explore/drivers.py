"""Drivers of a change of cost: volume, mix, price, and what is new or gone. They add up to the change exactly (pure).

Over the segments (models, or models and token classes) that have tokens in both periods, with v tokens at p each before
and V at P now, and with their sums in brackets:

    volume      ([V] − [v]) × [v p] / [v]    more or fewer tokens, at the average price of before
    mix         [V p] − [V] × [v p] / [v]    a shift between segments, at the prices of before
    price       [V P] − [V p]                the same segments at other prices

    added       the cost of segments without usage before
    removed     less the cost of segments without usage now
    remainder   the change of segments whose cost is not one of tokens, or whose tokens were taken back

The first three sum to [V P] − [v p], so all six are the change.
"""

from collections.abc import Iterable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

DRIVERS = ("volume", "mix", "price", "added", "removed", "remainder")
_PRECISION = 60


class Segment(NamedTuple):
    """A segment of usage in two periods: its cost, and the tokens that it pays for."""

    name: str
    now: Decimal
    now_tokens: int
    before: Decimal
    before_tokens: int


class Drivers(NamedTuple):
    """The drivers of a change, in the order of ``DRIVERS``. ``added_count`` and ``removed_count`` count segments;
    tokens are those of segments in both periods."""

    volume: Decimal
    mix: Decimal
    price: Decimal
    added: Decimal
    removed: Decimal
    remainder: Decimal
    added_count: int
    removed_count: int
    before_tokens: int
    now_tokens: int

    @property
    def change(self) -> Decimal:
        """Return their sum."""
        with localcontext(prec=_PRECISION):
            return sum((getattr(self, name) for name in DRIVERS), Decimal(0))

    def find_main(self) -> tuple[str, Decimal]:
        """Return the name and the amount of the driver that moves the sum most in the direction of the change."""
        sign = 1 if self.change >= 0 else -1
        name = max(DRIVERS, key=lambda driver: sign * getattr(self, driver))
        return name, getattr(self, name)


def compute_drivers(segments: Iterable[Segment]) -> Drivers:
    """Compute the drivers of the change from before to now over all segments."""
    with localcontext(prec=_PRECISION):
        return _compute(list(segments))


def _compute(segments: list[Segment]) -> Drivers:
    added = removed = remainder = Decimal(0)
    added_count = removed_count = 0
    lasting: list[Segment] = []
    for segment in segments:
        if segment.now_tokens > 0 and segment.before_tokens > 0:
            lasting.append(segment)
        elif not segment.before and not segment.before_tokens:
            added, added_count = added + segment.now, added_count + bool(segment.now or segment.now_tokens)
        elif not segment.now and not segment.now_tokens:
            removed, removed_count = removed - segment.before, removed_count + 1
        else:
            remainder += segment.now - segment.before
    now_tokens = sum(segment.now_tokens for segment in lasting)
    before_tokens = sum(segment.before_tokens for segment in lasting)
    now, before = (sum((getattr(segment, side) for segment in lasting), Decimal(0)) for side in ("now", "before"))
    average = Fraction(before) / before_tokens if before_tokens else Fraction(0)
    at_old_prices = sum(
        (Fraction(segment.before) / segment.before_tokens * segment.now_tokens for segment in lasting), Fraction(0)
    )
    volume = _round((now_tokens - before_tokens) * average)
    price = _round(Fraction(now) - at_old_prices)
    mix = now - before - volume - price  # as defined, but for the last digit, since the two others are rounded
    return Drivers(volume, mix, price, added, removed, remainder, added_count, removed_count, before_tokens, now_tokens)


def _round(amount: Fraction) -> Decimal:
    """Round to 12 decimals, as the ledger's amounts have them."""
    return Decimal(round(amount * 10**12)).scaleb(-12)
