"""What every part of the vocabulary shares: strictness, bounds and canonical form."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

Key = TypeVar("Key", bound=str)
Value = TypeVar("Value")


class Model(BaseModel):
    """Strict, immutable, and refusing what it does not know.

    Absent is not zero and not the empty string: a field that was not said is ``None`` and is left out of
    the canonical form, so equal content has equal bytes.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    def canonical(self) -> bytes:
        """The JSON that stands on the log: fields in the order of their definition, absent ones left out."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


def _utc(value: datetime) -> datetime:
    if not EARLIEST <= value < LATEST:
        raise ValueError(f"must lie between {EARLIEST.year} and {LATEST.year}, and is {value.isoformat()}")
    return value.astimezone(UTC)


def _iso(value: datetime) -> str:
    return value.isoformat(timespec="microseconds").replace("+00:00", "Z")


def plain(value: Decimal) -> str:
    """A decimal without exponent, sign of nothing, or zeros at its end; every other digit stays."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def in_order(value: Mapping[Key, Value]) -> dict[Key, Value]:
    """The same mapping in the order of its keys, so that equal content has equal bytes."""
    return dict(sorted(value.items()))


Time = Annotated[AwareDatetime, AfterValidator(_utc), PlainSerializer(_iso, return_type=str)]
"""A moment with its zone, kept in UTC with microseconds; finer digits are cut off."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""A name or an id: bounded, since people and programs type it."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
"""A sentence of a person's: a reason, an error. Never a prompt."""

Count = Annotated[int, Field(ge=0, le=10**12)]
Amount = Annotated[Decimal, Field(ge=0, max_digits=38, decimal_places=12), PlainSerializer(plain, return_type=str)]
"""Exact money in major units (dollars), at most 12 decimals; written as a string."""

Ratio = Annotated[Decimal, Field(ge=0, le=1, decimal_places=12), PlainSerializer(plain, return_type=str)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Names = Annotated[tuple[Name, ...], Field(max_length=64, strict=False)]
Tags = Annotated[dict[Label, Name], Field(max_length=32), AfterValidator(in_order)]
