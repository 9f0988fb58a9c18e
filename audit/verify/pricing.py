"""Price a call independently of the folds, in decimals, from price books as written (docs/rules.md, R5 to R8, R12)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

from audit.verify import model_names, unknown_usage
from audit.verify.variants import (
    CallRates,
    Conditions,
    Stated,
    choose_rates,
    cost_of_seconds,
    is_valid,
    list_conditions,
    price_of_second,
    read_stated,
)  # fmt: skip
from ledger.pricing import name_parts
from ledger.pricing.price_book import Hourly, Price, PriceBook, PricedModel, Provider, Tiered
from ledger.token_classes import CLASSES, INPUT_CLASSES, QUANTITY_CLASSES, TOKEN_CLASSES

MILLION, THOUSAND = Decimal(1_000_000), Decimal(1_000)
MAX_CACHED_RATES = 100_000


class Line(NamedTuple):
    """One token class of a call, with quantity, unit price and costs; None where it is unpriced, with a bound then."""

    name: str
    quantity: int
    unit_price: Decimal | None
    list_cost: Decimal | None
    billed_cost: Decimal | None
    greatest_cost: Decimal | None = None
    contracted_cost: Decimal | None = None
    effective_cost: Decimal | None = None


class Rated(NamedTuple):
    """A call's lines, its price (None where none was found), how much of it is known, and a bound of the rest."""

    lines: list[Line]
    currency: str | None = None
    document: str | None = None
    price_id: str | None = None
    pricing: str = "free"
    reason: str | None = None
    greatest_cost: Decimal | None = None
    unknown_tokens: int | None = None
    tier_basis: str | None = None
    contract_id: str | None = None
    seller: str | None = None
    model: str | None = None
    saved_cost: Decimal | None = None

    @property
    def price(self) -> tuple[str | None, ...]:
        return self.currency, self.document, self.price_id, self.tier_basis, self.contract_id


class PriceTier(NamedTuple):
    """The greatest rates of a million tokens of each side, in calls with more tokens than ``above``."""

    above: int
    rates: dict[str, Decimal]


class GreatestPrices(NamedTuple):
    """The prices that bound calls: of a call, and of its tokens by rising tiers."""

    currency: str
    call_cost: Decimal
    tiers: list[PriceTier]


class Book:
    """A price book with a cache of lookups."""

    def __init__(self, digest: str, book: PriceBook) -> None:
        self.digest = digest
        self.book = book
        self.find = lru_cache(maxsize=10_000)(self._find)
        self.find_provider = lru_cache(maxsize=10_000)(self._find_provider)
        self._rates: dict[tuple[int, Stated], CallRates] = {}  # by the identity of the price, which the book keeps
        self._conditions: dict[int, Conditions] = {}

    def choose_rates(
        self, data: Mapping[str, Any], time: datetime, model: PricedModel, price: Price, *, is_own: bool
    ) -> CallRates:
        """Return the rates of a price for what a call states."""
        conditions = self._conditions.get(id(model))
        if conditions is None:
            conditions = self._conditions[id(model)] = list_conditions(model)
        stated = read_stated(data, time, conditions, is_own=is_own)
        rates = self._rates.get((id(price), stated))
        if rates is None:
            rates = choose_rates(stated, self.book, model, price)
            if len(self._rates) < MAX_CACHED_RATES:
                self._rates[id(price), stated] = rates
        return rates

    def _find(self, provider: str | None, model: str, way: model_names.Way) -> model_names.Listing | None:
        """Return the model of a call, and the provider that lists its price."""
        return model_names.find_listing(self.book, provider, model, way)

    def _find_provider(self, name: str) -> Provider | None:
        return model_names.find_provider(self.book, name)


Aliases = Mapping[tuple[str, str | None], tuple[str, str]]
"""The provider and model that price a call, by the name of its model, and the provider that it names or None."""

Listing = tuple[Book, PricedModel, CallRates, str, str | None]
"""The price of a call: its book, its model, the rates, its id, and the id of the seller where it is known."""


def rate_call(data: Mapping[str, Any], time: datetime, books: Iterable[Book], aliases: Aliases) -> Rated:
    """Price an inference. ``books`` are those in force, the latest name first."""
    if unknown_usage.is_from_cache(data):
        return _save_cost(_rate_usage(data, time, books, aliases))
    return Rated([]) if unknown_usage.is_free(data) else _rate_usage(data, time, books, aliases)


def _save_cost(rated: Rated) -> Rated:
    """Make a call free, and its list cost the one that was saved: known where every line has a rate."""
    if rated.pricing != "priced":
        return Rated([])
    saved_cost = sum((line.list_cost or Decimal(0) for line in rated.lines), Decimal(0))
    return Rated([], rated.currency, saved_cost=saved_cost)


def _rate_usage(data: Mapping[str, Any], time: datetime, books: Iterable[Book], aliases: Aliases) -> Rated:
    """Price the usage of an inference."""
    gap = unknown_usage.find_gap(data)
    tokens = unknown_usage.read_tokens(data, with_block=True) if gap else None
    listing = _find_price(data, time, list(books), aliases)
    quantities = _read_quantities(data)
    if isinstance(listing, str):
        lines = [Line(name, quantity, None, None, None) for name, quantity in quantities.items()]
        reason = gap or (listing if lines else None)
        pricing = "unknown" if gap else "unpriced" if lines else "free"
        return Rated(lines, pricing=pricing, reason=reason, unknown_tokens=(tokens.told if tokens else 0) or None)
    book, model, price, price_id, seller = listing
    lines, tier_basis = _price_lines(data, quantities, price)
    bounds = [line.greatest_cost for line in lines if line.list_cost is None]
    if tokens is not None:
        bounds.append(unknown_usage.bound_tokens(tokens, data, model, price))
    priced = sum(line.list_cost is not None for line in lines)
    pricing = (
        "free" if not lines else "priced" if priced == len(lines) else "partially_priced" if priced else "unpriced"
    )
    return Rated(
        lines,
        book.book.currency,
        book.digest,
        price_id,
        "unknown" if gap else pricing,
        gap or (price.reason or "no rate for a class" if priced < len(lines) else None),
        _add_bounds(bounds) if bounds else None,
        (tokens.told if tokens else 0) or None,
        tier_basis,
        seller=seller,
        model=model.id,
    )


def rate_quarantined(data: Mapping[str, Any], time: datetime, books: Iterable[Book], aliases: Aliases) -> Rated:
    """Bound the cost of an inference that is quarantined."""
    if unknown_usage.is_free(data):
        return Rated([], greatest_cost=Decimal(0))
    tokens = unknown_usage.read_tokens(data, with_block=not data.get("tokens"))
    rated = Rated([], pricing="unknown", reason="quarantined", unknown_tokens=tokens.told or None)
    listing = _find_price(data, time, list(books), aliases)
    if isinstance(listing, str):
        return rated
    book, model, price, price_id, _ = listing
    bounds = unknown_usage.bound_quantities(data, price)
    if data.get("tokens") or unknown_usage.find_gap(data):
        bounds.append(unknown_usage.bound_tokens(tokens, data, model, price))
    return rated._replace(
        currency=book.book.currency, document=book.digest, price_id=price_id, greatest_cost=_add_bounds(bounds)
    )


def find_greatest_prices(
    data: Mapping[str, Any], time: datetime, books: Iterable[Book], aliases: Aliases
) -> GreatestPrices | None:
    """Return the greatest prices by which calls are bounded; None where figures do not bound them."""
    listing = _find_price(data, time, list(books), aliases)
    if isinstance(listing, str):
        return None
    book, _, price, _, _ = listing
    if any(isinstance(rates.get("requests"), Hourly) for rates in price.bounding):
        return None  # a call costs by its seconds too
    call_cost = _add_bounds(unknown_usage.bound_quantities(data, price))
    tiers = []
    for above in (None, *price.list_tiers()):
        rates = unknown_usage.find_greatest_rates(price, None, 0 if above is None else above + 1)
        if rates is None:
            return None
        tiers.append(PriceTier(above or 0, rates))
    return None if call_cost is None else GreatestPrices(book.book.currency, call_cost, tiers)


def _add_bounds(bounds: list[Decimal | None]) -> Decimal | None:
    return None if None in bounds else sum((bound for bound in bounds if bound is not None), Decimal(0))


def _find_price(data: Mapping[str, Any], time: datetime, books: list[Book], aliases: Aliases) -> Listing | str:
    """Return the price of a call, or the reason why it has none."""
    provider = (data.get("provider") or "").lower() or None
    models = model_names.list_names(data.get("model_resolved"), data.get("model"))
    alias = _find_alias(data, provider, aliases)
    if alias is not None:
        provider, models = alias[0].lower(), [alias[1].lower()]
    seats = [_seat_call(provider, model, books) for model in models]
    is_listed = False
    for model, (provider, _, ways) in zip(models, seats, strict=True):
        for way in ways:
            for book in books:
                match = book.find(provider, model, way)
                if match is None:
                    continue
                is_listed = True
                owner, priced, seller = match
                valid_prices = [(index, price) for index, price in enumerate(priced.prices) if is_valid(price, time)]
                if valid_prices:
                    index, price = valid_prices[-1]
                    rates = book.choose_rates(data, time, priced, price, is_own=owner is seller)
                    variants = "".join(f"+{place}" for place in rates.places)
                    price_id = f"{book.book.name}/{owner.id}/{priced.id}#{index}{variants}"
                    return book, priced, rates, price_id, seller.id if seller is not None else None
    if not models:
        return "no model"
    if not books:
        return "no price book"
    if is_listed:
        return "no price at that time"
    if model_names.read_mark(models[0]) in name_parts.TUNED_MARKS:
        return "no price of the fine-tuned model"
    provider, owners, _ = seats[0]
    is_named = not model_names.is_nobody(provider)
    return "no price of the provider" if is_named and not any(owners) else "no price of the model"


def _seat_call(
    provider: str | None, model: str, books: list[Book]
) -> tuple[str | None, list[Provider | None], list[model_names.Way]]:
    """Return the provider of a call, what the books have for it, and the ways to look for its model."""
    for name in (provider, model_names.find_local_host(model)):
        owners = [book.find_provider(name) for book in books] if name and not model_names.is_nobody(name) else []
        ways = model_names.list_ways(owners, is_local=model_names.is_local_host(name))
        if name != provider:
            return name, owners, ways
        if len(ways) == 2 or model_names.find_local_host(model) is None:
            break
    return provider, owners, ways


def _find_alias(data: Mapping[str, Any], provider: str | None, aliases: Aliases) -> tuple[str, str] | None:
    for field in ("model_resolved", "model"):
        name = (data.get(field) or "").lower()
        for key in ((name, provider), (name, None)):
            if name and key in aliases:
                return aliases[key]
    return None


def negate(rated: Rated) -> Rated:
    """Return what is known and not known of a call with its signs changed."""
    lines = [
        line._replace(
            quantity=-line.quantity,
            list_cost=_subtract(line.list_cost),
            contracted_cost=_subtract(line.contracted_cost),
            effective_cost=_subtract(line.effective_cost),
            billed_cost=_subtract(line.billed_cost),
            greatest_cost=_subtract(line.greatest_cost),
        )
        for line in rated.lines
    ]
    return rated._replace(
        lines=lines,
        greatest_cost=_subtract(rated.greatest_cost),
        unknown_tokens=None if rated.unknown_tokens is None else -rated.unknown_tokens,
        saved_cost=None if rated.saved_cost is None else 0 - rated.saved_cost,
    )


def _subtract(cost: Decimal | None) -> Decimal | None:
    return None if cost is None else 0 - cost


def _read_quantities(data: Mapping[str, Any]) -> dict[str, int]:
    quantities: dict[str, int] = {}
    for field, classes in (("tokens", TOKEN_CLASSES), ("quantities", QUANTITY_CLASSES)):
        quantities |= {name: quantity for name, quantity in data.get(field, {}).items() if name in classes}
    return {name: quantities[name] for name in CLASSES if quantities.get(name)}


def _price_lines(
    data: Mapping[str, Any], quantities: dict[str, int], price: CallRates
) -> tuple[list[Line], str | None]:
    """Price each class, and say what chose the tier where the price has tiers."""
    calls, stated = data.get("calls") or 1, data.get("context_tier")
    if any("requests" in rates for rates in price.bounding) and "requests" not in quantities:
        quantities = {name: quantities.get(name, calls) for name in CLASSES if name in quantities or name == "requests"}
    is_sum = stated is None and data.get("calls") is None and bool(data.get("period_s"))
    has_tiers = price.has_tiers
    mean = Fraction(0)  # where nobody names the number of calls, no tier is reached
    if not is_sum and (has_tiers or not price.rates.keys() >= quantities.keys()):
        mean = Fraction(sum(quantity for name, quantity in quantities.items() if name in INPUT_CLASSES), calls)
    lines = []
    for name, quantity in quantities.items():
        rate = price.rates.get(name)
        if isinstance(rate, Tiered):
            reached = [
                tier.rate
                for tier in rate.tiers
                if (mean > tier.above if stated is None else tier.above <= stated and stated > 0)
            ]
            rate = reached[-1] if reached else rate.base
        if rate is None:
            bound = unknown_usage.bound_class(name, quantity, price, stated, ceil(mean), calls)
            lines.append(Line(name, quantity, None, None, None, bound))
            continue
        if isinstance(rate, Hourly):
            unit_price, cost = price_of_second(rate), cost_of_seconds(rate, quantity, calls)
        else:
            unit_price = rate / (MILLION if name in TOKEN_CLASSES else THOUSAND)
            cost = quantity * unit_price
        lines.append(Line(name, quantity, unit_price, cost, Decimal(0) if data.get("payer") == "customer" else cost))
    if not has_tiers:
        return lines, None
    if is_sum:
        return lines, "assumed"
    return lines, "stated" if stated is not None else "mean" if calls > 1 else "event"
