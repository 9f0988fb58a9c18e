"""Exact money: integers of 10^-12 of a currency's major unit (pico), and their decimal form.

A unit price is a whole number of pico, so quantity times price needs no rounding. Two functions round:
:func:`round_rate`, before a price becomes part of a document, and :func:`share`, where a contract divides a cost.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal

from tallystick.vocabulary.base import format_decimal

PICO = 10**12
COSTS = ("list_cost", "contracted_cost", "effective_cost", "billed_cost")
"""The costs of an entry, from the price of a book to what is billed."""
_exact = Context(prec=60, rounding=ROUND_HALF_EVEN)


def pico(amount: Decimal | str) -> int:
    """Convert an amount to pico. ValueError where it is not a whole number of them."""
    scaled = Decimal(amount).scaleb(12, _exact)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} has more than 12 decimals")
    return int(scaled)


def text(amount: int) -> str:
    """Write pico as a decimal with twelve places: ``text(1) == "0.000000000001"``."""
    if amount < 0:
        return "-" + text(-amount)
    return "%d.%012d" % divmod(amount, PICO)  # noqa: UP031  (a third quicker, and the folds write four an event)


def parse_text(amount: str) -> int:
    """Convert what :func:`text` wrote to pico, in a tenth of the time that :func:`pico` takes."""
    return int(amount.replace(".", "", 1))


def brief(amount: str) -> str:
    """Write an amount without the zeros at its end, for a sentence: ``brief("2.500000000000") == "2.5"``."""
    return format_decimal(Decimal(amount))


def share(amount: int, part: int, whole: int) -> int:
    """Return the part of an amount that ``part`` is of ``whole``, rounded half to even: for a discount, and for what a
    commitment covers. What is left of the amount is the difference, so the two always sum to it."""
    quotient, remainder = divmod(amount * part, whole)
    return quotient + (2 * remainder > whole or (2 * remainder == whole and quotient % 2 == 1))


def round_rate(rate: Decimal, decimals: int) -> Decimal:
    """Round a published rate to a number of decimals, half to even (catalogues carry 0.18000000000000002)."""
    return rate.quantize(Decimal(1).scaleb(-decimals), context=_exact)
