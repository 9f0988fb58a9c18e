"""Convert values of an application to those of the vocabulary, where that is safe and exact. Pure.

Each function returns the value in a form of JSON, None where it is absent (None and ""), and raises UnfitValue for any
other value. No function prints an object of a type that it does not know: an application's ``__str__`` may hang, or
tell content.
"""

import math
import os
import re
from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from enum import Enum
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any
from uuid import UUID

from tallystick.privacy.addresses import replace_addresses
from tallystick.privacy.key_shapes import replace_keys
from tallystick.vocabulary.base import MAX_DIGITS, decimal_of, format_decimal

MAX_COUNT = 10**12
MAX_NUMBER_TEXT = 2 * MAX_DIGITS
"""Characters of the longest text that is read as a number."""

_EXACT = Context(prec=400)
_TWELFTH = Decimal("1e-12")
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS = {"_ms": 1_000, "_s": 1_000_000}
_MAX_GROWTH = 7
"""Times that a text becomes longer at most when its keys and addresses are replaced: ``&code=a`` by a fingerprint."""
_PSEUDONYM = "p_" + "0" * 24
_SIGNS = {
    "$": ("USD", "AUD", "CAD", "HKD", "MXN", "NZD", "SGD"), "US$": ("USD",), "€": ("EUR",), "£": ("GBP",),
}  # fmt: skip
"""Signs of currencies, and the codes that each may mean, the usual one first."""
_SIGN_OR_CODE = "|".join(map(re.escape, sorted(_SIGNS, key=len, reverse=True))) + "|[A-Za-z]{3}"
_MONEY = re.compile(
    rf"(?P<before>{_SIGN_OR_CODE})?[ \u00a0]?(?P<number>[0-9.eE+-]+)[ \u00a0]?(?P<after>{_SIGN_OR_CODE})?"
)


class UnfitValue(ValueError):
    """A value that a field cannot hold, and that has no safe and exact conversion."""


def to_text(value: Any, max_length: int) -> str | None:
    """Convert to a text: numbers and booleans as JSON writes them, UUIDs and paths as they print, members of an Enum by
    their value, moments as ISO 8601. A text that is too long is unfit and is not cut: a cut id is another id."""
    text = _print(value)
    if text == "" or text is None:
        return None
    if len(text) > max_length:  # a key may be long, and its fingerprint is short
        text = replace_keys(text)
    if len(text) > max_length or "\0" in text or not (text.isascii() or _is_unicode(text)):
        raise UnfitValue
    if len(text) * _MAX_GROWTH > max_length and len(conceal(text)) > max_length:
        raise UnfitValue
    return text


def to_count(value: Any, unit: str = "") -> int | None:
    """Convert to a whole number from 0 to ``MAX_COUNT``: numbers and texts of numbers that are whole. With a ``unit``
    (``_ms``, ``_s``) also durations, and milliseconds are rounded to the nearest, a half to the even one."""
    if type(value) is int:
        number: int | Decimal = value
    elif isinstance(value, timedelta) and unit:
        number = Decimal(value // _MICROSECOND) / _MICROSECONDS[unit]
    elif (decimal := to_decimal(value)) is None:
        return None
    else:
        number = decimal
    if not 0 <= number <= MAX_COUNT:
        raise UnfitValue
    count = round(number)
    if count != number and unit != "_ms":
        raise UnfitValue
    return count


def to_ratio(value: Any) -> str | None:
    """Convert to a share from 0 to 1, rounded to the twelfth decimal."""
    number = to_decimal(value)
    if number is None:
        return None
    if not 0 <= number <= 1:
        raise UnfitValue
    return format_decimal(number.quantize(_TWELFTH, ROUND_HALF_EVEN, _EXACT))


def to_money(value: Any, currency: str | None) -> tuple[str | None, str | None]:
    """Convert to an amount, rounded to the twelfth decimal, and its currency: ``0.02``, ``$0.02``, ``USD 0.02`` and
    ``0.02 €``. A sign or a code that contradicts the ``currency`` beside it is unfit, and so are separators of
    thousands, which the next country reads as a point."""
    value = _unwrap(value)
    if isinstance(value, str):
        value = str.strip(value)
        match = _MONEY.fullmatch(value) if len(value) <= MAX_NUMBER_TEXT else None
        if value and match is None:
            raise UnfitValue
        if match:
            value = match["number"]
            for mark in filter(None, (match["before"], match["after"])):
                currency = _find_currency(mark, currency)
    number = to_decimal(value)
    if number is None:
        return None, currency
    if not 0 <= number < 10 ** (MAX_DIGITS - 12):
        raise UnfitValue
    return format_decimal(number.quantize(_TWELFTH, ROUND_HALF_EVEN, _EXACT)), currency


def to_word(value: Any, words: Sequence[str]) -> str | None:
    """Convert to one of the words, in whatever case it is written."""
    text = to_text(value, max_length=64)
    if text is None or text in words:
        return text
    folded = text.strip().casefold()
    if folded not in words:
        raise UnfitValue
    return folded


def to_currency(value: Any) -> str | None:
    """Convert to a code of ISO 4217, in whatever case it is written."""
    text = to_text(value, max_length=64)
    if text is not None and not re.fullmatch("[A-Z]{3}", text := text.strip().upper()):
        raise UnfitValue
    return text


def to_items(value: Any, max_count: int) -> list[Any]:
    """Convert to a list: lists and tuples in their order, sets in the order of their texts, and one value alone as a
    list of one."""
    value = _unwrap(value)
    if value is None:
        return []
    if isinstance(value, Set):
        if len(value) > max_count:
            raise UnfitValue
        return sorted(value, key=lambda item: _print(item) or "")
    if isinstance(value, (list, tuple)):
        return list(value)
    return [value]


def to_number(value: Any) -> bool | int | float | None:
    """Convert to a number or boolean that a field of no name may hold: whole ones within 64 bits."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, Integral) and -(2**63) <= int(value) < 2**63:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    raise UnfitValue


def _print(value: Any) -> str | None:
    """Print a value of a known type in full. None is absent."""
    value = _unwrap(value)
    match value:
        case None:
            return None
        case str():
            return str.__str__(value)
        case bool():
            return "true" if value else "false"
        case Integral() if int(value).bit_length() <= 512:
            return int.__str__(int(value))
        case float() if math.isfinite(value):
            return float.__repr__(float(value))
        case Decimal() if value.is_finite() and abs(value.adjusted()) < 256 and len(value.as_tuple().digits) <= 256:
            return format(value, "f")
        case UUID() | PurePath():
            return str(value)
        case datetime() | date() | time() if value == value:
            return value.isoformat()
        case os.PathLike():
            path = os.fspath(value)
            if isinstance(path, str):
                return path
    raise UnfitValue


def _unwrap(value: Any) -> Any:
    """Return the value of an Enum's member, and any other value as it is."""
    return value.value if isinstance(value, Enum) else value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a pair
        return False
    return True


def conceal(text: str) -> str:
    """Return a text in the length that it has at the intake, where pseudonyms and fingerprints replace addresses and
    keys."""
    return replace_addresses(replace_keys(text), lambda name: _PSEUDONYM)


def to_decimal(value: Any) -> Decimal | None:
    """Read a finite number from a number or its text; None where it is absent. A boolean is none."""
    value = _unwrap(value)
    match value:
        case None:
            return None
        case bool():
            raise UnfitValue
        case Integral() if int(value).bit_length() <= 128:
            return Decimal(int(value))
        case Decimal():
            number = value
        case Real():
            number = Decimal(float.__repr__(float(value)))
        case str() if len(value) <= MAX_NUMBER_TEXT:
            text = str.strip(value)
            if not text:
                return None
            try:
                number = decimal_of(text, exponent=True)
            except (ValueError, InvalidOperation):
                raise UnfitValue from None
        case _:
            raise UnfitValue
    if not number.is_finite() or abs(number.adjusted()) > 128 or len(number.as_tuple().digits) > 128:
        raise UnfitValue
    return number


def _find_currency(mark: str, currency: str | None) -> str:
    codes = _SIGNS.get(mark) or (mark.upper(),)
    if currency is not None and currency not in codes:
        raise UnfitValue
    return currency or codes[0]


def to_pairs(value: Any, max_count: int) -> list[tuple[Any, Any]]:
    """Return the pairs of a mapping; UnfitValue where it is none, or has more than ``max_count``."""
    if type(value) is dict and len(value) <= max_count:
        return list(value.items())
    if not isinstance(value, Mapping) or len(value) > max_count:
        raise UnfitValue
    return [(name, value[name]) for name in value]
