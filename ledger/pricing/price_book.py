"""Price documents. How an event finds its price is a rule (docs/rules.md), not here."""

import re
from datetime import time
from decimal import Decimal
from fractions import Fraction
from itertools import combinations, pairwise
from math import prod
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, field_validator, model_validator

from ledger.money import PICO
from ledger.pricing.document import build_damage_error, pack, unpack
from ledger.pricing.price_dimensions import PRICE_DIMENSIONS, normalize_dimension
from ledger.token_classes import CLASSES, TOKEN_CLASSES, decimals, rate_unit
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
        if len(vars(self)) - [*vars(self).values()].count(None) != 1:
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


class Hourly(Model):
    """A rate of seconds as providers of speech name it. The cost of a call is rounded to 10^-12, half to even."""

    per_hour: Rate
    least_s: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        default=None, description="seconds that each call is charged at least"
    )


AnyRate = Decimal | Tiered | Hourly


def list_figures(rate: AnyRate) -> list[Decimal]:
    """List the figures of a rate: its base and its tiers, or that of an hour."""
    if isinstance(rate, Tiered):
        return [rate.base, *(tier.rate for tier in rate.tiers)]
    return [rate.per_hour if isinstance(rate, Hourly) else rate]


def check_rates(rates: dict[str, AnyRate]) -> dict[str, AnyRate]:
    """Check the classes of rates, and that one unit of each costs a whole number of pico. ValueError names the rate."""
    for name, rate in rates.items():
        _check_class(name)
        if isinstance(rate, Hourly):
            if name != "seconds":
                raise ValueError(f"a rate per hour is one of 'seconds', not of {name!r}")
            continue
        for figure in list_figures(rate):
            if (figure * PICO / rate_unit(name)) % 1:
                raise ValueError(f"the rate {figure} of {name!r} has more than {decimals(name)} decimals")
    return sort_by_key(rates)


def _check_class(name: str) -> None:
    if name not in CLASSES:
        raise ValueError(f"{name!r} is not one of the classes {', '.join(CLASSES)}")


Rates = Annotated[dict[Name, Rate | Tiered | Hourly], AfterValidator(check_rates)]


def _check_fallbacks(fallbacks: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    for name, sources in fallbacks.items():
        for class_name in (name, *sources):
            _check_class(class_name)
    return sort_by_key(fallbacks)


Fallbacks = Annotated[dict[Name, Annotated[tuple[Name, ...], Field(strict=False)]], AfterValidator(_check_fallbacks)]


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


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Validity(Model):
    """When something is in force, by the event's own time: all of its conditions hold."""

    since: Time | None = Field(default=None, description="from this moment on; without it, always")
    until: Time | None = Field(default=None, description="before this moment; without it, for ever")
    daily: Daily | None = None
    weekdays: Annotated[tuple[Weekday, ...], Field(strict=False, min_length=1)] | None = Field(
        default=None, description="days of the week in UTC; a span that passes midnight is of the day it starts on"
    )


class Price(Validity):
    """Rates, and when they apply by the event's own time. Of several that apply, the last in the list counts."""

    rates: Rates


class Condition(Model):
    """Price dimensions that a call must state. A value is written in any of its spellings, and kept in one."""

    service_tier: Label | None = None
    speed: Label | None = None
    geography: Label | None = None

    @model_validator(mode="before")
    @classmethod
    def _normalize(cls, content: object) -> object:
        if not isinstance(content, dict):
            return content
        words = dict(content)
        for name in PRICE_DIMENSIONS:
            if isinstance(words.get(name), str):
                words[name] = normalize_dimension(name, words[name])
                if words[name] is None:
                    raise ValueError(f"{name} {content[name]!r} is the base price: it stands under 'prices'")
        return words

    @model_validator(mode="after")
    def _check_stated(self) -> "Condition":
        if not self.stated:
            raise ValueError(f"names at least one of {', '.join(PRICE_DIMENSIONS)}")
        return self

    @property
    def stated(self) -> dict[str, str]:
        """Return the dimensions that are named, with their values."""
        return {name: value for name, value in self if value is not None}


class Variant(Validity):
    """Rates of a model for calls that state certain dimensions: in place of the price's own rates, class by class, or
    the factor by which its rates of tokens are multiplied."""

    when: Condition
    rates: Rates | None = None
    multiplier: Annotated[Decimal, DecimalInput, Field(ge=0, lt=1000, strict=False)] | None = None

    @model_validator(mode="after")
    def _check_effect(self) -> "Variant":
        if (self.rates is None) == (self.multiplier is None):
            raise ValueError("a variant has either 'rates' or a 'multiplier'")
        return self


MAX_MULTIPLIERS = 8


class PricedModel(Model):
    id: Name
    match: Clause
    context_window: Annotated[int, Field(ge=1, le=10**12)] | None = Field(
        default=None, description="tokens of input and output that one call may have, which bound a call without usage"
    )
    prices: Annotated[tuple[Price, ...], Field(strict=False, min_length=1)]
    variants: Annotated[tuple[Variant, ...], Field(strict=False)] = Field(
        default=(), description="first to last: of two that give a class a rate, the first counts"
    )
    priced_as: Fallbacks | None = Field(default=None, description="classes of this model that differ from the book's")

    @model_validator(mode="after")
    def _check_products(self) -> "PricedModel":
        multipliers = [Fraction(variant.multiplier) for variant in self.variants if variant.multiplier is not None]
        if not multipliers:  # most models of a large book, which each service reads at its start
            return self
        if len(multipliers) > MAX_MULTIPLIERS:
            raise ValueError(f"a model has at most {MAX_MULTIPLIERS} multipliers, and this one has {len(multipliers)}")
        factors = {prod(group) for size in range(1, len(multipliers) + 1) for group in combinations(multipliers, size)}
        for rates in [price.rates for price in self.prices] + [variant.rates or {} for variant in self.variants]:
            for name, rate in rates.items():
                for figure in list_figures(rate) if name in TOKEN_CLASSES else ():
                    for factor in factors:
                        if (Fraction(figure) * factor * rate_unit(name)).denominator != 1:
                            raise ValueError(
                                f"the rate {figure} of {name!r} times {float(factor)} has over {decimals(name)} "
                                "decimals: "
                                "write the variant with 'rates' of its own"
                            )
        return self


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
    priced_as: Fallbacks = Field(
        default={}, description="for each class those whose rate it takes where it has none, the first that has one"
    )
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
