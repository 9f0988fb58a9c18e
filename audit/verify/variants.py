"""Choose the rates of a call among the variants of its price, independently of the folds (docs/rules.md, R6 and R7)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any, NamedTuple

from ledger.pricing.price_book import AnyRate, Hourly, Price, PriceBook, PricedModel, Tier, Tiered, Validity, Variant
from ledger.pricing.price_dimensions import PRICE_DIMENSIONS, normalize_dimension
from ledger.token_classes import TOKEN_CLASSES

_exact = Context(prec=200)
HOUR_S = 3600


class CallRates(NamedTuple):
    """The rates of a call, the rates that bound what has none, the places of the variants that apply, and why there is
    no rate at all."""

    rates: dict[str, AnyRate]
    bounding: list[dict[str, AnyRate]]
    places: tuple[int, ...] = ()
    reason: str | None = None

    @property
    def has_tiers(self) -> bool:
        return any(isinstance(rate, Tiered) for rates in self.bounding for rate in rates.values())

    def list_tiers(self) -> list[int]:
        """List the amounts of tokens above which any class costs otherwise, rising."""
        tiered = [rate for rates in self.bounding for rate in rates.values() if isinstance(rate, Tiered)]
        return sorted({tier.above for rate in tiered for tier in rate.tiers})


class Stated(NamedTuple):
    """What decides which rates of a price a call gets: what it states, in the words of prices, and the places of the
    variants that apply."""

    words: tuple[str | None, ...]
    places: tuple[int, ...]


def is_valid(validity: Validity, time: datetime) -> bool:
    """Tell whether a price or a variant is in force at an event's own time."""
    if validity.since is not None and time < validity.since:
        return False
    if validity.until is not None and time >= validity.until:
        return False
    begin = time
    if validity.daily is not None:
        start, end, moment = validity.daily.start, validity.daily.end, time.time()
        is_over_midnight = end < start
        if is_over_midnight and moment < end:
            begin = time - timedelta(days=1)
        elif moment < start or (moment >= end and not is_over_midnight):
            return False
    return validity.weekdays is None or f"{begin:%A}".lower() in validity.weekdays


Conditions = list[tuple[Mapping[str, str], Variant]]


def list_conditions(model: PricedModel) -> Conditions:
    """List the variants of a model, each with the words that a call must state."""
    return [(variant.when.stated, variant) for variant in model.variants]


def read_stated(data: Mapping[str, Any], time: datetime, conditions: Conditions, *, is_own: bool) -> Stated:
    """Read what a call states, by the conditions of a model's variants. ``is_own`` tells whether its provider lists the
    model itself."""
    words = {name: normalize_dimension(name, data.get(name)) for name in PRICE_DIMENSIONS}
    places = tuple(
        place
        for place, (stated, variant) in enumerate(conditions if is_own else ())
        if all(words[name] == word for name, word in stated.items()) and is_valid(variant, time)
    )
    return Stated(tuple(words.values()), places)


def choose_rates(stated: Stated, book: PriceBook, model: PricedModel, price: Price) -> CallRates:
    """Return the rates for what a call states."""
    fallbacks = dict(book.priced_as) | dict(model.priced_as or {})
    variants = model.variants
    applied = [(place, variants[place]) for place in stated.places]
    base = _fill(price.rates, fallbacks)
    for name, word in zip(PRICE_DIMENSIONS, stated.words, strict=True):
        if word is not None and not any(name in variant.when.stated for _, variant in applied):
            factors = [variant.multiplier for variant in variants if variant.multiplier and variant.multiplier > 1]
            candidates = [base] + [variant.rates for variant in variants if variant.rates is not None]
            reason = f"no rate for {PRICE_DIMENSIONS[name]} {word!r}"
            return CallRates({}, [_multiply(rates, factors) for rates in candidates], reason=reason)
    rates = dict(price.rates)
    for _, variant in reversed(applied):  # the first of two is written last
        rates |= variant.rates or {}
    factors = [variant.multiplier for _, variant in applied if variant.multiplier is not None]
    rates = _fill(_multiply(rates, factors), fallbacks)
    return CallRates(rates, [rates], stated.places)


def cost_of_seconds(rate: Hourly, seconds: int, calls: int) -> Decimal:
    """Return what seconds cost at a rate by the hour, rounded half to even."""
    charged = max(seconds, (rate.least_s or 0) * calls)
    return _round(_exact.divide(rate.per_hour * charged, Decimal(HOUR_S)))


def price_of_second(rate: Hourly) -> Decimal:
    """Return the price of a second, rounded half to even."""
    return _round(_exact.divide(rate.per_hour, Decimal(HOUR_S)))


def _round(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("1e-12"), context=_exact)


def _fill(rates: Mapping[str, AnyRate], fallbacks: Mapping[str, tuple[str, ...]]) -> dict[str, AnyRate]:
    """Give each class without a rate that of the first class in its list which has one of its own."""
    filled = dict(rates)
    for name, sources in fallbacks.items():
        own = [rates[source] for source in sources if source in rates]
        if name not in rates and own:
            filled[name] = own[0]
    return filled


def _multiply(rates: Mapping[str, AnyRate], factors: list[Decimal]) -> dict[str, AnyRate]:
    products = dict(rates)
    for factor in factors:
        for name, rate in products.items():
            if name not in TOKEN_CLASSES:
                continue
            if isinstance(rate, Tiered):
                tiers = [Tier.model_construct(above=tier.above, rate=tier.rate * factor) for tier in rate.tiers]
                products[name] = Tiered.model_construct(base=rate.base * factor, tiers=tuple(tiers))
            elif isinstance(rate, Decimal):
                products[name] = rate * factor
    return products
