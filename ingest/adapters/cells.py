"""Values of a source's cells: times, counts, amounts and texts as programs write them. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any

from ingest.adapters.head import parse_json
from ledger.inference_fields import MAX_COUNT

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_UNITS = ((10**10, 10**6), (10**13, 10**3), (10**16, 1))
"""Bounds of a number that is a time, and its unit in microseconds: seconds, milliseconds, microseconds since 1970."""
MAX_TEXT = 256
ABSENT = frozenset({"", "\\n", "null", "none", "nan", "n/a", "undefined"})
"""Words, in small letters, with which exports write that a cell is absent."""
_SECONDS_ZONE = re.compile(r"\s*(utc|gmt)$", re.IGNORECASE)
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?\s?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)
_COUNT = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.0+)?|[0-9]{1,13}(\.0+)?")
_NUMBER = re.compile(r"-?([0-9]{1,3}(,[0-9]{3})+|[0-9]{1,25})?(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
_MONEY_DIGITS, _MAX_MONEY, _EXACT = Decimal(1).scaleb(-12), 10**25, Context(prec=60)


def is_absent(value: Any) -> bool:
    """Tell whether a cell holds nothing: null, an empty text, or a word for it."""
    return value is None or (isinstance(value, str) and value.strip().lower() in ABSENT)


def parse_time(value: Any) -> datetime | None:
    """Read a moment: ISO 8601 with a date alone or a time of day (UTC where no zone is written), or seconds,
    milliseconds or microseconds since 1970. None where it is none."""
    if isinstance(value, str):
        text = _SECONDS_ZONE.sub("Z", value.strip())
        if _ISO.fullmatch(text):
            try:
                moment = datetime.fromisoformat(text.replace(" Z", "Z").replace(" +", "+"))
            except ValueError:
                return None
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    number = parse_number(value)
    if number is None or number < 0:
        return None
    unit_us = next((unit for bound, unit in EPOCH_UNITS if number < bound), None)
    if unit_us is None:
        return None
    try:
        return EPOCH + timedelta(microseconds=int(number * unit_us))
    except OverflowError:
        return None


def parse_count(value: Any) -> int | None:
    """Read a count, with separators of thousands or a fraction of zeros. None where it is none."""
    if type(value) is int:
        return value if 0 <= value <= MAX_COUNT else None
    if isinstance(value, (Decimal, float)):
        number = parse_number(value)
        is_count = number is not None and 0 <= number <= MAX_COUNT and number == number.to_integral_value()
        return int(number) if is_count and number is not None else None
    if isinstance(value, str) and _COUNT.fullmatch(text := value.strip()):
        count = int(text.partition(".")[0].replace(",", ""))
        return count if count <= MAX_COUNT else None
    return None


def parse_number(value: Any) -> Decimal | None:
    """Read a number, with separators of thousands or an exponent. None where it is none."""
    if isinstance(value, bool) or value is None:
        return None
    text = value.strip() if isinstance(value, str) else str(value)
    if not text or len(text) > 100 or not _NUMBER.fullmatch(text):
        return None
    try:
        number = Decimal(text.replace(",", ""))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def parse_money(value: Any) -> str | None:
    """Read an amount of dollars from zero on, rounded to the twelfth decimal; ``$0.02`` is one. None for any other."""
    number = parse_number(value.strip().removeprefix("$") if isinstance(value, str) else value)
    return None if number is None else format_money(number)


def format_money(number: Decimal) -> str | None:
    """Write an amount from zero on, rounded to the twelfth decimal, since programs that count in floats write more.
    None for any other."""
    if not 0 <= number < _MAX_MONEY:
        return None
    return format(number.quantize(_MONEY_DIGITS, ROUND_HALF_EVEN, _EXACT), "f")


def parse_text(value: Any) -> str | None:
    """Read a name of at most 256 characters; numbers and booleans are written as text. None where it is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    text = str(value) if isinstance(value, (int, float)) else value
    return text.strip() if isinstance(text, str) and 1 <= len(text.strip()) <= MAX_TEXT else None


def is_true(value: Any) -> bool:
    """Tell whether a cell says true."""
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "t", "yes", "1"))


def parse_object(value: Any) -> Mapping[str, Any]:
    """Return an object of JSON, also one that is written as text in a cell; an empty one where it is none."""
    document = parse_json(value) if isinstance(value, str) and value.lstrip().startswith("{") else value
    return document if isinstance(document, Mapping) else {}


def parse_list(value: Any) -> list[Any]:
    """Return a list of JSON, also one that is written as text in a cell; an empty one where it is none."""
    document = parse_json(value) if isinstance(value, str) and value.lstrip().startswith("[") else value
    return document if isinstance(document, list) else []
