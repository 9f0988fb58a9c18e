"""Price a call independently of the folds, in decimals, from price books as written (docs/rules.md, R5 to R8, R12)."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

from audit.verify import unknown_usage
from ledger.pricing.price_book import Clause, Price, PriceBook, PricedModel, Provider, Tiered
from ledger.token_classes import CLASSES, INPUT_CLASSES, QUANTITY_CLASSES, TOKEN_CLASSES

MILLION, THOUSAND = Decimal(1_000_000), Decimal(1_000)


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

    @property
    def price(self) -> tuple[str | None, ...]:
        return self.currency, self.document, self.price_id, self.tier_basis, self.contract_id


class Book:
    """A price book with a cache of lookups."""

    def __init__(self, digest: str, book: PriceBook) -> None:
        self.digest = digest
        self.book = book
        self.find = lru_cache(maxsize=10_000)(self._find)

    def _find(self, provider: str | None, model: str) -> tuple[Provider, PricedModel, Provider] | None:
        """Return the provider that lists the price of a call, the model, and the provider that sells it."""
        seller = _find_seller(self.book, provider.lower() if provider is not None else None, model.lower())
        if seller is None:
            return None
        sellers = [seller]
        for name in seller.models_of:
            sellers += [candidate for candidate in self.book.providers if candidate.id == name]
        for spelling in (model.lower(), _spell_date_with_dashes(model.lower())):
            for owner in sellers:
                for priced in owner.models:
                    if is_match(priced.match, spelling):
                        return owner, priced, seller
        return None


Listing = tuple[Book, PricedModel, Price, str, str]
"""The price of a call: its book, its model, the price, its id, and the seller."""


def rate_call(data: Mapping[str, Any], time: datetime, books: Iterable[Book]) -> Rated:
    """Price an inference. ``books`` are those in force, the latest name first."""
    if unknown_usage.is_free(data):
        return Rated([])
    gap = unknown_usage.find_gap(data)
    tokens = unknown_usage.read_tokens(data, with_block=True) if gap else None
    listing = _find_price(data, time, books)
    quantities = _read_quantities(data)
    if listing is None:
        lines = [Line(name, quantity, None, None, None) for name, quantity in quantities.items()]
        has_model = data.get("model_resolved") or data.get("model")
        reason = gap or (("no price at that time" if has_model else "no model") if lines else None)
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
        gap or ("no rate for a class" if priced < len(lines) else None),
        _add_bounds(bounds) if bounds else None,
        (tokens.told if tokens else 0) or None,
        tier_basis,
        seller=seller,
        model=model.id,
    )


def rate_quarantined(data: Mapping[str, Any], time: datetime, books: Iterable[Book]) -> Rated:
    """Bound the cost of an inference that is quarantined."""
    if unknown_usage.is_free(data):
        return Rated([], greatest_cost=Decimal(0))
    tokens = unknown_usage.read_tokens(data, with_block=not data.get("tokens"))
    rated = Rated([], pricing="unknown", reason="quarantined", unknown_tokens=tokens.told or None)
    listing = _find_price(data, time, books)
    if listing is None:
        return rated
    book, model, price, price_id, _ = listing
    bounds = unknown_usage.bound_quantities(data, price)
    if data.get("tokens") or unknown_usage.find_gap(data):
        bounds.append(unknown_usage.bound_tokens(tokens, data, model, price))
    return rated._replace(
        currency=book.book.currency, document=book.digest, price_id=price_id, greatest_cost=_add_bounds(bounds)
    )


def _add_bounds(bounds: list[Decimal | None]) -> Decimal | None:
    return None if None in bounds else sum((bound for bound in bounds if bound is not None), Decimal(0))


def _find_price(data: Mapping[str, Any], time: datetime, books: Iterable[Book]) -> Listing | None:
    model = data.get("model_resolved") or data.get("model")
    for book in books:
        match = book.find(data.get("provider"), model) if model else None
        if match is None:
            continue
        owner, priced, seller = match
        valid_prices = [(index, price) for index, price in enumerate(priced.prices) if _is_in_force(price, time)]
        if valid_prices:
            index, price = valid_prices[-1]
            return book, priced, price, f"{book.book.name}/{owner.id}/{priced.id}#{index}", seller.id
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
    )


def _subtract(cost: Decimal | None) -> Decimal | None:
    return None if cost is None else 0 - cost


def _read_quantities(data: Mapping[str, Any]) -> dict[str, int]:
    quantities: dict[str, int] = {}
    for field, classes in (("tokens", TOKEN_CLASSES), ("quantities", QUANTITY_CLASSES)):
        quantities |= {name: quantity for name, quantity in data.get(field, {}).items() if name in classes}
    return {name: quantities[name] for name in CLASSES if quantities.get(name)}


def _price_lines(data: Mapping[str, Any], quantities: dict[str, int], price: Price) -> tuple[list[Line], str | None]:
    """Price each class, and say what chose the tier where the price has tiers."""
    calls, stated = data.get("calls") or 1, data.get("context_tier")
    if "requests" in price.rates and "requests" not in quantities:
        quantities = {name: quantities.get(name, calls) for name in CLASSES if name in quantities or name == "requests"}
    is_sum = stated is None and data.get("calls") is None and bool(data.get("period_s"))
    mean = Fraction(sum(quantity for name, quantity in quantities.items() if name in INPUT_CLASSES), calls)
    if is_sum:  # of a number of calls that nobody names: no tier is reached
        mean = Fraction(0)
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
            bound = unknown_usage.bound_class(name, quantity, price, stated, ceil(mean))
            lines.append(Line(name, quantity, None, None, None, bound))
            continue
        unit_price = rate / (MILLION if name in TOKEN_CLASSES else THOUSAND)
        cost = quantity * unit_price
        lines.append(Line(name, quantity, unit_price, cost, Decimal(0) if data.get("payer") == "customer" else cost))
    if not any(isinstance(rate, Tiered) for rate in price.rates.values()):
        return lines, None
    if is_sum:
        return lines, "assumed"
    return lines, "stated" if stated is not None else "mean" if calls > 1 else "event"


def _is_in_force(price: Price, time: datetime) -> bool:
    if price.since is not None and time < price.since:
        return False
    if price.daily is None:
        return True
    start, end, moment = price.daily.start, price.daily.end, time.time()
    if start <= end:
        return start <= moment < end
    return moment >= start or moment < end


def _find_seller(book: PriceBook, provider: str | None, model: str) -> Provider | None:
    if provider is None:
        matches = [
            candidate
            for candidate in book.providers
            if candidate.model_match and is_match(candidate.model_match, model)
        ]
    else:
        matches = [candidate for candidate in book.providers if candidate.id.lower() == provider]
        matches += [
            candidate for candidate in book.providers if candidate.match and is_match(candidate.match, provider)
        ]
    return matches[0] if matches else None


def is_match(clause: Clause, name: str) -> bool:
    """Tell if a clause matches a lower-case name."""
    ((kind, value),) = ((kind, value) for kind, value in clause if value is not None)
    if kind == "any_of":
        return any(is_match(part, name) for part in value)
    if kind == "all_of":
        return all(is_match(part, name) for part in value)
    if kind == "regex":
        return re.search(value, name) is not None
    word = str(value).lower()
    return {
        "equals": name == word,
        "starts_with": name.startswith(word),
        "ends_with": name.endswith(word),
        "contains": word in name,
    }[kind]


def _spell_date_with_dashes(model: str) -> str:
    match = re.search(r"-([0-9]{4})([0-9]{2})([0-9]{2})$", model)
    if not match:
        return model
    try:
        date(*(int(part) for part in match.groups()))
    except ValueError:
        return model
    return f"{model[: match.start()]}-{match[1]}-{match[2]}-{match[3]}"
