"""Base of the vocabulary: the strict model, its canonical form, and bounded types of fields."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

MAX_DIGITS = 38
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_EXPONENT = re.compile(r"-?[0-9](\.[0-9]{1,38})?[eE][+-]?[0-9]{1,2}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that ``str.isprintable`` takes for visible, and that show nothing."""

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

Key = TypeVar("Key", bound=str)
Value = TypeVar("Value")


class Model(BaseModel):
    """A strict, immutable object that refuses unknown fields.

    Absent is not zero and not the empty string: an absent field is ``None`` and is left out of the canonical form,
    so equal content has equal bytes.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    def canonical(self) -> bytes:
        """Write the JSON that stands on the log: fields in the order of their definition, absent ones left out."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


def decimal_of(text: str, *, exponent: bool = False) -> Decimal:
    """Read a number as it is written everywhere: ASCII digits, a point, and a minus where it is below zero. With
    ``exponent`` also as programs print small and large floats: one digit, digits behind a point, and one exponent of at
    most two digits (``5e-05``, ``1.5E+3``). ValueError for every other form: ``+1``, ``10e3``, ``1e100``, ``1_0``,
    ``.5``, ``05``, a space, digits of other scripts."""
    is_number = _NUMBER.fullmatch(text) or (exponent and _EXPONENT.fullmatch(text))
    if len(text) > 2 * MAX_DIGITS or not is_number:
        raise ValueError("must be a number in plain digits, such as 100 or 0.25")
    return Decimal(text)


def time_of(text: str) -> datetime:
    """Read a moment as RFC 3339 writes it. It has no zone where none is written. ValueError for every other form: a
    count of seconds, a day alone, a week's day, digits without separators."""
    if not _TIME.fullmatch(text):
        raise ValueError("must be a moment as RFC 3339 writes it, such as 2026-06-01T12:00:00Z")
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError("must be a moment of the calendar, such as 2026-06-01T12:00:00Z") from None


def is_visible(text: str) -> bool:
    """Tell whether each character of a name shows: none is a control, a line's end, of no width, or turns the text
    around; and no space stands at either end."""
    return text.isprintable() and text == text.strip() and not _INVISIBLE.search(text)


def has_visible_character(text: str) -> bool:
    """Tell whether anything of a name shows: it is not of spaces, controls and characters of no width alone."""
    if text.isascii() and text.isprintable():  # most are, and only spaces among these do not show
        return bool(text) and not text.isspace()
    return any(letter.isprintable() and not letter.isspace() and not _INVISIBLE.match(letter) for letter in text)


def _check_identifier(name: str) -> str:
    if not has_visible_character(name):
        raise ValueError("must have a character that shows")
    return name


def _parse_decimal(value: object) -> object:
    if isinstance(value, str):
        return decimal_of(value, exponent=True)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value))  # a number of JSON, which has a form of its own
    return value


def _parse_time(value: object) -> object:
    if isinstance(value, datetime):
        return value
    return time_of(value if isinstance(value, str) else "")


def _to_utc(value: datetime) -> datetime:
    if not EARLIEST <= value < LATEST:
        raise ValueError(f"must lie between {EARLIEST.year} and {LATEST.year}, and is {value.isoformat()}")
    return value.astimezone(UTC)


def _format_time(value: datetime) -> str:
    return value.isoformat(timespec="microseconds").replace("+00:00", "Z")


def format_decimal(value: Decimal) -> str:
    """Write a decimal without exponent, minus before zero, or zeros at its end; every other digit stays."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def sort_by_key(value: Mapping[Key, Value]) -> dict[Key, Value]:
    """Sort a mapping by its keys, so that equal content has equal bytes."""
    return dict(sorted(value.items()))


Time = Annotated[
    AwareDatetime, BeforeValidator(_parse_time), AfterValidator(_to_utc), PlainSerializer(_format_time, return_type=str)
]
"""A moment of RFC 3339 with its zone, kept in UTC with microseconds; finer digits are cut off."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""A name or an id."""

IdentifierCheck = AfterValidator(_check_identifier)
"""Refuses an id or a source of which nothing shows: nobody could name the event."""
Identifier = Annotated[Name, IdentifierCheck]

Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
"""A sentence of a person: a reason, an error. Never a prompt."""

Count = Annotated[int, Field(ge=0, le=10**12)]
DecimalInput = BeforeValidator(_parse_decimal)
"""A decimal that is written as :func:`decimal_of` reads it, with an exponent or without, or is a number of JSON."""
_AMOUNT_TEXT = r"^((0|[1-9][0-9]*)(\.[0-9]{1,12})?|[0-9](\.[0-9]{1,38})?[eE][+-]?[0-9]{1,2})$"
_number_schema = WithJsonSchema(
    {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": _AMOUNT_TEXT}]}
)
Amount = Annotated[
    Decimal, DecimalInput, Field(ge=0, max_digits=MAX_DIGITS, decimal_places=12),
    PlainSerializer(format_decimal, return_type=str), _number_schema,
]  # fmt: skip
"""Exact money in major units (dollars), at most 12 decimals; written as a string."""

PositiveAmount = Annotated[
    Decimal, DecimalInput, Field(gt=0, max_digits=MAX_DIGITS, decimal_places=12),
    PlainSerializer(format_decimal, return_type=str),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": _AMOUNT_TEXT}]}
    ),
]  # fmt: skip
"""An :data:`Amount` above zero."""

Ratio = Annotated[
    Decimal,
    DecimalInput,
    Field(ge=0, le=1, decimal_places=12),
    PlainSerializer(format_decimal, return_type=str),
    _number_schema,
]
Quantile = Annotated[
    Decimal,
    DecimalInput,
    Field(ge=Decimal("0.5"), lt=1, decimal_places=6),
    PlainSerializer(format_decimal, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0.5, "exclusiveMaximum": 1},
                {"type": "string", "pattern": _AMOUNT_TEXT},
            ]
        }
    ),
]
"""A quantile from the median on."""

CURRENCY_PATTERN = r"^[A-Z]{3}$"
Currency = Annotated[str, StringConstraints(pattern=CURRENCY_PATTERN)]
DocumentHash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the document")]
ID_PATTERN = r"^\S+$"
Id = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=ID_PATTERN)]
"""An id, which has no spaces: no sentence, and no first and last name."""

Ids = Annotated[tuple[Id, ...], Field(max_length=64, strict=False)]
Tags = Annotated[dict[Label, Name], Field(max_length=32), AfterValidator(sort_by_key)]
