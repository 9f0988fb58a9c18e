"""One price of a model, compiled: when it holds, what units cost, and its variants (docs/rules.md, R6 and R7)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import get_args

import msgspec

from ledger.money import PICO
from ledger.pricing.price_book import AnyRate, Hourly, PriceBook, PricedModel, Tiered, Validity, Variant, Weekday
from ledger.pricing.price_dimensions import PRICE_DIMENSIONS, normalize_dimension
from ledger.token_classes import CLASSES, TOKEN_CLASSES, rate_unit

DAY_US = 86400 * 1_000_000
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday, and Monday is 0
_WEEKDAYS: tuple[str, ...] = get_args(Weekday)


class HourlyPrice(msgspec.Struct, frozen=True, gc=False):
    """Pico an hour, and the seconds that a call is charged at least."""

    pico_per_hour: int
    least_s: int

    def cost(self, seconds: int, calls: int) -> int:
        """Return the cost in pico, rounded half to even."""
        return round(Fraction(self.pico_per_hour * max(seconds, self.least_s * calls), 3600))

    @property
    def unit_price(self) -> int:
        """Return the pico a second, rounded half to even: a figure to read, by which nothing is multiplied."""
        return round(Fraction(self.pico_per_hour, 3600))


Tiers = tuple[tuple[int, int], ...]
"""(above, pico) by rising threshold of the event's input tokens, the base with -1."""
UnitPrice = int | Tiers | HourlyPrice


class Terms(msgspec.Struct, frozen=True, gc=False):
    """When something is in force, by the event's own time in microseconds."""

    since_us: int | None = None
    until_us: int | None = None
    daily_us: tuple[int, int] | None = None
    weekdays: frozenset[int] | None = None

    def holds(self, time_us: int) -> bool:
        """Tell whether all conditions hold at a moment."""
        if self.since_us is not None and time_us < self.since_us:
            return False
        if self.until_us is not None and time_us >= self.until_us:
            return False
        if self.daily_us is None and self.weekdays is None:
            return True
        day, moment = divmod(time_us, DAY_US)
        if self.daily_us is not None:
            start, end = self.daily_us
            if start <= end:
                if not start <= moment < end:
                    return False
            elif moment < end:
                day -= 1  # behind midnight a span is still of the day that it began on
            elif moment < start:
                return False
        return self.weekdays is None or (day + _EPOCH_WEEKDAY) % 7 in self.weekdays


class OfferVariant(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Rates for calls that state certain dimensions: of classes, or the factor of all rates of tokens."""

    terms: Terms
    when: tuple[tuple[str, str], ...]
    rates: dict[str, UnitPrice]
    multiplier: Fraction | None


class Offer(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One price of a model: when it holds, and the cost of a unit of each class.

    ``rates`` are those that the book names; ``unit_prices`` has those of classes that are priced as another, too.
    ``bound_prices`` are the prices by which a class without a rate is bounded. ``tiers`` are the amounts of input
    tokens above which some class costs otherwise, rising. ``context_window`` is the number of tokens that one call may
    have, where the book names it. ``sells_variants`` is False where another provider sells the model: then its variants
    only bound. ``seller`` and ``model`` are the ids, in lower case, of the provider that sells the model, where it is
    known, and of the model.
    """

    price_id: str
    document: str
    currency: str
    terms: Terms
    rates: dict[str, UnitPrice]
    priced_as: Mapping[str, Sequence[str]]
    unit_prices: dict[str, UnitPrice]
    bound_prices: dict[str, tuple[UnitPrice, ...]]
    tiers: tuple[int, ...]
    context_window: int | None
    variants: tuple[OfferVariant, ...] = ()
    sells_variants: bool = True
    seller: str = ""
    model: str = ""

    def holds(self, time_us: int) -> bool:
        """Tell whether the price is in force at a moment."""
        return self.terms.holds(time_us)

    def tier(self, input_tokens: int) -> int:
        """Return the greatest tier that so many input tokens are above; -1 where there is none."""
        return max((above for above in self.tiers if input_tokens > above), default=-1)

    def stated_tier(self, above: int) -> int:
        """Return the tier that a source states by where it begins: the greatest that begins there or below."""
        return max((tier for tier in self.tiers if tier <= above), default=-1) if above else -1

    def greatest_unit_price(self, names: Sequence[str], tier: int) -> int | None:
        """Return the greatest unit price of any of the classes in the tier and those below, in pico; None where none
        has one. An hourly price is no unit price."""
        prices: list[int] = []
        for name in names:
            for price in self.bound_prices.get(name, ()):
                if isinstance(price, tuple):
                    prices += (pico for above, pico in price if above <= tier)
                elif isinstance(price, int):
                    prices.append(price)
        return max(prices, default=None)

    def greatest_cost(self, name: str, quantity: int, tier: int, calls: int) -> int | None:
        """Return the most that a quantity of a class may cost by its own prices, in pico; None where it has none."""
        unit_price = self.greatest_unit_price((name,), tier)
        costs = [] if unit_price is None else [quantity * unit_price]
        costs += [
            price.cost(quantity, calls) for price in self.bound_prices.get(name, ()) if isinstance(price, HourlyPrice)
        ]
        return max(costs, default=None)

    def unit_price(self, name: str, tier: int) -> int | HourlyPrice | None:
        """Return the unit price of a class in a tier, in pico; None where the class has none."""
        price = self.unit_prices.get(name)
        if isinstance(price, tuple):
            return next(pico for above, pico in reversed(price) if above <= tier)
        return price


def compile_offers(
    document: str, book: PriceBook, provider_id: str, model: PricedModel, *, sells_variants: bool = True
) -> tuple[Offer, ...]:
    """Compile the prices of a model, the strongest first. ``sells_variants`` is False for a provider that sells the
    models of another: at their price, and by none of their variants."""
    priced_as = {**book.priced_as, **(model.priced_as or {})}
    variants = tuple(_compile_variant(variant) for variant in model.variants)
    name = f"{book.name}/{provider_id}/{model.id}"
    return tuple(
        _build_offer(
            f"{name}#{index}", document, book.currency, compile_terms(price), _compile_rates(price.rates), priced_as,
            model.context_window, variants, sells_variants=sells_variants,
        )
        for index, price in reversed(list(enumerate(model.prices)))
    )  # fmt: skip


def select_variant(
    offer: Offer, service_tier: str | None, speed: str | None, geography: str | None, time_us: int
) -> tuple[Offer, str | None]:
    """Return the price of a call that states dimensions, and why it has none: of such a price only bounds are known."""
    if service_tier is None and speed is None and geography is None:
        return offer, None
    stated = _normalize_dimensions(service_tier, speed, geography)
    if not stated:
        return offer, None
    matches = _match_variants(offer, stated)
    return _resolve(offer, stated, tuple(place for place, terms in matches if terms.holds(time_us)))


@lru_cache(maxsize=10_000)
def _normalize_dimensions(*values: str | None) -> tuple[tuple[str, str], ...]:
    """Return the names and words of what is stated and is not the base price."""
    words = [(name, normalize_dimension(name, value)) for name, value in zip(PRICE_DIMENSIONS, values, strict=True)]
    return tuple((name, word) for name, word in words if word is not None)


@lru_cache(maxsize=10_000)
def _match_variants(offer: Offer, stated: tuple[tuple[str, str], ...]) -> tuple[tuple[int, Terms], ...]:
    """Return the places of the variants whose conditions are stated, and when each is in force."""
    if not offer.sells_variants:
        return ()
    return tuple(
        (place, variant.terms) for place, variant in enumerate(offer.variants) if set(variant.when) <= set(stated)
    )


@lru_cache(maxsize=10_000)
def _resolve(offer: Offer, stated: tuple[tuple[str, str], ...], places: tuple[int, ...]) -> tuple[Offer, str | None]:
    """Return the price with the variants at these places; one that only bounds where a dimension is in none of them."""
    recognized = {name for place in places for name, _ in offer.variants[place].when}
    for name, word in stated:
        if name not in recognized:
            return _bound_offer(offer), f"no rate for {PRICE_DIMENSIONS[name]} {word!r}"
    return _apply_variants(offer, places), None


@lru_cache(maxsize=10_000)
def _apply_variants(offer: Offer, places: tuple[int, ...]) -> Offer:
    """Return a price with some of its variants, which its id names: first to last for each class, then the factors."""
    variants = [offer.variants[place] for place in places]
    rates: dict[str, UnitPrice] = {}
    for variant in variants:
        rates = {**variant.rates, **rates}
    factor = prod((variant.multiplier for variant in variants if variant.multiplier is not None), start=Fraction(1))
    price_id = offer.price_id + "".join(f"+{place}" for place in places)
    return _build_offer(
        price_id, offer.document, offer.currency, offer.terms, _multiply({**offer.rates, **rates}, factor),
        offer.priced_as, offer.context_window,
    )  # fmt: skip


@lru_cache(maxsize=10_000)
def _bound_offer(offer: Offer) -> Offer:
    """Return a price by which nothing has a rate, bounded by the greatest of all rates and factors of the model."""
    factor = prod(
        (variant.multiplier for variant in offer.variants if variant.multiplier is not None and variant.multiplier > 1),
        start=Fraction(1),
    )
    bound_prices: dict[str, tuple[UnitPrice, ...]] = {}
    for rates in (offer.unit_prices, *(variant.rates for variant in offer.variants)):
        for name, price in _multiply(rates, factor).items():
            bound_prices[name] = (*bound_prices.get(name, ()), price)
    tiers = _list_tiers(price for prices in bound_prices.values() for price in prices)
    return msgspec.structs.replace(offer, rates={}, unit_prices={}, bound_prices=bound_prices, tiers=tiers, variants=())


def _build_offer(
    price_id: str, document: str, currency: str, terms: Terms, rates: dict[str, UnitPrice],
    priced_as: Mapping[str, Sequence[str]], context_window: int | None, variants: tuple[OfferVariant, ...] = (),
    *, sells_variants: bool = True,
) -> Offer:  # fmt: skip
    unit_prices = dict(rates)
    for name in CLASSES:
        source = next((source for source in priced_as.get(name, ()) if source in rates), None)
        if name not in rates and source is not None:
            unit_prices[name] = rates[source]
    bound_prices: dict[str, tuple[UnitPrice, ...]] = {name: (price,) for name, price in unit_prices.items()}
    tiers = _list_tiers(unit_prices.values())
    return Offer(
        price_id,
        document,
        currency,
        terms,
        rates,
        priced_as,
        unit_prices,
        bound_prices,
        tiers,
        context_window,
        variants,
        sells_variants,
    )


def _list_tiers(prices: Iterable[UnitPrice]) -> tuple[int, ...]:
    tiers = {above for price in prices if isinstance(price, tuple) for above, _ in price}
    return tuple(sorted(tiers - {-1}))


def _multiply(rates: Mapping[str, UnitPrice], factor: Fraction) -> dict[str, UnitPrice]:
    """Multiply the rates of tokens. Products are whole: a book with another is refused."""
    if factor == 1:
        return dict(rates)
    products: dict[str, UnitPrice] = dict(rates)
    for name, price in rates.items():
        if name not in TOKEN_CLASSES:
            continue
        if isinstance(price, tuple):
            products[name] = tuple((above, int(pico * factor)) for above, pico in price)
        elif isinstance(price, int):
            products[name] = int(price * factor)
    return products


def _compile_variant(variant: Variant) -> OfferVariant:
    multiplier = None if variant.multiplier is None else Fraction(variant.multiplier)
    when = tuple(variant.when.stated.items())
    return OfferVariant(compile_terms(variant), when, _compile_rates(variant.rates or {}), multiplier)


def compile_terms(validity: Validity) -> Terms:
    since_us, until_us = (
        None if moment is None else int(moment.timestamp()) * 1_000_000 + moment.microsecond
        for moment in (validity.since, validity.until)
    )
    daily_us = None
    if validity.daily is not None:
        midnight = datetime.combine(date.min, datetime.min.time(), UTC)
        start, end = (
            datetime.combine(date.min, time, UTC) - midnight for time in (validity.daily.start, validity.daily.end)
        )
        daily_us = (start.seconds * 1_000_000 + start.microseconds, end.seconds * 1_000_000 + end.microseconds)
    weekdays = None if validity.weekdays is None else frozenset(map(_WEEKDAYS.index, validity.weekdays))
    return Terms(since_us, until_us, daily_us, weekdays)


def _compile_rates(rates: Mapping[str, AnyRate]) -> dict[str, UnitPrice]:
    unit_prices: dict[str, UnitPrice] = {}
    for name, rate in rates.items():
        scale = PICO // rate_unit(name)
        if isinstance(rate, Tiered):
            tiers = ((tier.above, int(tier.rate * scale)) for tier in rate.tiers)
            unit_prices[name] = ((-1, int(rate.base * scale)), *tiers)
        elif isinstance(rate, Hourly):
            unit_prices[name] = HourlyPrice(int(rate.per_hour * PICO), rate.least_s or 0)
        else:
            unit_prices[name] = int(rate * scale)
    return unit_prices
