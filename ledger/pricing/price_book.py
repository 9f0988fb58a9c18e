"""Price documents. How an event finds its price is a rule (docs/rules.md), not here."""

import re
from datetime import time
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, field_validator, model_validator

from ledger.money import PICO
from ledger.pricing.document import build_damage_error, pack, unpack
from ledger.token_classes import CLASSES, decimals, rate_unit
from tallystick.vocabulary.base import Currency, DecimalInput, Label, Model, Name, Time, format_decimal, sort_by_key

Rate = Annotated[
    Decimal, DecimalInput, Field(ge=0, lt=10**9, strict=False), PlainSerializer(format_decimal, return_type=str)
]
"""Currency per million tokens, or per thousand of another quantity."""


class Clause(Model):
    """One way to recognise a name, case-insensitively. Exactly one field is set."""

    equals: str | None = None
    starts_with: str | None = None
    ends_with: str | None = None
    contains: str | None = None
    regex: str | None = Field(default=None, description="searched for in the name in lower case")
    any_of: Annotated[tuple["Clause", ...], Field(strict=False)] | None = None
    all_of: Annotated[tuple["Clause", ...], Field(strict=False)] | None = None

    @model_validator(mode="after")
    def _check_one_field(self) -> "Clause":
        if sum(value is not None for _, value in self) != 1:
            raise ValueError(f"a clause has exactly one of {', '.join(type(self).model_fields)}")
        if self.regex is not None:
            try:
                re.compile(self.regex)
            except re.error as error:
                raise ValueError(f"the regular expression {self.regex!r} is none: {error}") from error
        return self


class Tier(Model):
    """A rate for events with more input tokens than ``above``. It applies to all their tokens of the class."""

    above: Annotated[int, Field(ge=0)]
    rate: Rate


class Tiered(Model):
    base: Rate
    tiers: Annotated[tuple[Tier, ...], Field(strict=False, min_length=1)] = Field(description="rising by 'above'")

    @field_validator("tiers")
    @classmethod
    def _check_ascending(cls, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        if any(tier.above >= next_tier.above for tier, next_tier in pairwise(tiers)):
            raise ValueError("each tier must have a greater 'above' than the one before it")
        return tiers


def check_rates(rates: dict[str, Decimal | Tiered]) -> dict[str, Decimal | Tiered]:
    """Check the classes of rates, and that one unit of each costs a whole number of pico. ValueError names the rate."""
    for name, rate in rates.items():
        if name not in CLASSES:
            raise ValueError(f"{name!r} is not one of the classes {', '.join(CLASSES)}")
        for figure in [rate] if isinstance(rate, Decimal) else [rate.base, *(tier.rate for tier in rate.tiers)]:
            if (figure * PICO / rate_unit(name)) % 1:
                raise ValueError(f"the rate {figure} of {name!r} has more than {decimals(name)} decimals")
    return sort_by_key(rates)


Rates = Annotated[dict[Name, Rate | Tiered], AfterValidator(check_rates)]


def _check_quoted(value: object) -> object:
    if not isinstance(value, str | time):  # YAML reads 20:00 without quotes as the number 1200
        raise ValueError("must be a time of day in quotes, like '20:00'")
    return value


def _check_utc(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("is in UTC and names no zone: write it like '20:00'")
    return value


TimeOfDay = Annotated[time, Field(strict=False), BeforeValidator(_check_quoted), AfterValidator(_check_utc)]


class Daily(Model):
    """A time of day in UTC, including the start and not the end. It may pass midnight."""

    start: TimeOfDay
    end: TimeOfDay


class Price(Model):
    """Rates, and when they apply by the event's own time. Of several that apply, the last in the list counts."""

    since: Time | None = Field(default=None, description="from this moment on; without it, always")
    daily: Daily | None = None
    rates: Rates


class PricedModel(Model):
    id: Name
    match: Clause
    context_window: Annotated[int, Field(ge=1, le=10**12)] | None = Field(
        default=None, description="tokens of input and output that one call may have, which bound a call without usage"
    )
    prices: Annotated[tuple[Price, ...], Field(strict=False, min_length=1)]


class Provider(Model):
    id: Name
    match: Clause | None = Field(default=None, description="other names by which events call this provider")
    model_match: Clause | None = Field(default=None, description="models that mean this provider where none is named")
    models_of: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        default=(), description="providers whose models this one sells at their price, asked after its own"
    )
    models: Annotated[tuple[PricedModel, ...], Field(strict=False)]


class PriceBook(Model):
    """A catalogue of list prices, whole: a later book of the same name replaces it."""

    kind: Literal["price_book"] = "price_book"
    version: Literal[1] = 1
    name: Label
    currency: Currency
    origin: Label = Field(description="where the figures come from, with its version")
    providers: Annotated[tuple[Provider, ...], Field(strict=False)]


def pack_book(book: PriceBook) -> tuple[str, bytes]:
    """Return the document's hash (SHA-256 of its canonical JSON) and its compressed bytes, as they go onto the log."""
    return pack(book.canonical(), f"price book {book.name!r}", "split it into books of different names")


def unpack_book(digest: str, packed: bytes) -> PriceBook:
    """Read the book of a document's bytes. LogDamaged where they are not the document of this hash."""
    try:
        return PriceBook.model_validate_json(unpack(digest, packed))
    except ValueError as error:
        raise build_damage_error(digest, error) from error
