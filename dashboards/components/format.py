"""Figures as text. Money stays a Decimal to the last digit shown; nothing here is a float."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

SIGNS = {"USD": "$", "EUR": "€", "GBP": "£"}
_context = Context(prec=60, rounding=ROUND_HALF_EVEN)


def money(amount: Decimal | None, currency: str) -> str:
    """Format an amount to the cent, and below one unit to four significant digits: ``$1,234.56``, ``$0.001234``."""
    if amount is None:
        return "unpriced"
    places = 2 if amount == 0 or abs(amount) >= 1 else min(12, 3 - amount.adjusted())
    return _add_sign(amount.quantize(Decimal(1).scaleb(-places), context=_context), currency)


def exact(amount: Decimal | None, currency: str) -> str:
    """Format an amount with every digit, at least two decimals: ``$0.0000025``."""
    if amount is None:
        return "unpriced"
    shortest = amount.normalize(_context)
    places = max(2, -int(shortest.as_tuple().exponent))
    return _add_sign(amount.quantize(Decimal(1).scaleb(-places), context=_context), currency)


def count(number: int) -> str:
    """Format a count with separators: ``1,234,567``."""
    return f"{number:,}"


def quantify(number: int, noun: str) -> str:
    """Format a count with its noun, whose plural ends in s: ``1 call``, ``1,234 calls``."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def short(number: int) -> str:
    """Format a count for a headline: ``999,999``, then four digits: ``1.234M``."""
    if number < 1_000_000:
        return f"{number:,}"
    size, letter = next(
        (size, letter) for size, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M")) if number >= size
    )
    digits = len(str(number // size))
    figure = Decimal(number).scaleb(-len(str(size)) + 1).quantize(Decimal(1).scaleb(digits - 4), context=_context)
    return f"{figure}{letter}"


def per_million(amount: Decimal, tokens: int) -> Decimal | None:
    """Return the average cost of a million tokens; None where there are no tokens."""
    if not tokens:
        return None
    return _context.divide(amount * 1_000_000, Decimal(tokens)).quantize(Decimal("0.0001"), context=_context)


def change(now: Decimal | int, before: Decimal | int) -> str | None:
    """Format the change since before: ``+12.3%``, ``new``, or None where both are zero."""
    if not before:
        return "new" if now else None
    percent = (Decimal(now) / Decimal(before) - 1) * 100
    if abs(percent) >= 1000:
        return f"×{(Decimal(now) / Decimal(before)).quantize(Decimal(1), context=_context):,}"
    return f"{percent.quantize(Decimal('0.1'), context=_context):+}%".replace("-", "−")


def percent(part: Decimal | int, total: Decimal | int) -> Decimal:
    """Return a share of a total in percent, to a tenth; 0 where the total is 0."""
    return (Decimal(part) * 100 / Decimal(total)).quantize(Decimal("0.1")) if total else Decimal(0)


def _add_sign(amount: Decimal, currency: str) -> str:
    sign = "−" if amount < 0 else ""
    figure = f"{amount.copy_abs():,f}"
    return f"{sign}{SIGNS[currency]}{figure}" if currency in SIGNS else f"{sign}{figure} {currency}".strip()
