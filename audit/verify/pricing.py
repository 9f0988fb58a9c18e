"""Price a call independently of the folds, in decimals, from the price books as written (docs/rules.md, R5 to R8)."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from ledger.pricing.price_book import Clause, Price, PriceBook, PricedModel, Provider, Tiered
from ledger.token_classes import CLASSES, INPUT_CLASSES, QUANTITY_CLASSES, TOKEN_CLASSES

MILLION, THOUSAND = Decimal(1_000_000), Decimal(1_000)


class Line(NamedTuple):
    """One token class of a call, with quantity, unit price and costs; None where it is unpriced."""

    name: str
    quantity: int
    unit_price: Decimal | None
    list_cost: Decimal | None
    billed_cost: Decimal | None


class Rated(NamedTuple):
    """A call's lines, with currency, document and id of the price; None where no price was found."""

    lines: list[Line]
    currency: str | None
    document: str | None
    price_id: str | None


class Book:
    """A price book with a cache of lookups."""

    def __init__(self, digest: str, book: PriceBook) -> None:
        self.digest = digest
        self.book = book
        self.find = lru_cache(maxsize=10_000)(self._find)

    def _find(self, provider: str | None, model: str) -> tuple[Provider, PricedModel] | None:
        """Return the model of a call, and the provider that lists its price."""
        seller = _find_seller(self.book, provider.lower() if provider is not None else None, model.lower())
        if seller is None:
            return None
        sellers = [seller]
        for name in seller.models_of:
            sellers += [candidate for candidate in self.book.providers if candidate.id == name]
        for spelling in (model.lower(), _spell_date_with_dashes(model.lower())):
            for owner in sellers:
                for priced in owner.models:
                    if _is_match(priced.match, spelling):
                        return owner, priced
        return None


def rate_call(data: Mapping[str, Any], time: datetime, books: Iterable[Book]) -> Rated:
    """Price an inference. ``books`` are those in force, the latest name first."""
    quantities = _read_quantities(data)
    model = data.get("model_resolved") or data.get("model")
    for book in books:
        match = book.find(data.get("provider"), model) if model else None
        if match is None:
            continue
        owner, priced = match
        valid_prices = [(index, price) for index, price in enumerate(priced.prices) if _is_in_force(price, time)]
        if valid_prices:
            index, price = valid_prices[-1]
            lines = _price_lines(quantities, price, data.get("payer") == "customer")
            return Rated(lines, book.book.currency, book.digest, f"{book.book.name}/{owner.id}/{priced.id}#{index}")
    return Rated([Line(name, quantity, None, None, None) for name, quantity in quantities.items()], None, None, None)


def negate(rated: Rated) -> Rated:
    """Return the lines of a call with their signs changed."""
    lines = [
        line._replace(
            quantity=-line.quantity,
            list_cost=None if line.list_cost is None else 0 - line.list_cost,
            billed_cost=None if line.billed_cost is None else 0 - line.billed_cost,
        )
        for line in rated.lines
    ]
    return rated._replace(lines=lines)


def _read_quantities(data: Mapping[str, Any]) -> dict[str, int]:
    quantities: dict[str, int] = {}
    for field, classes in (("tokens", TOKEN_CLASSES), ("quantities", QUANTITY_CLASSES)):
        quantities |= {name: quantity for name, quantity in data.get(field, {}).items() if name in classes}
    return {name: quantities[name] for name in CLASSES if quantities.get(name)}


def _price_lines(quantities: dict[str, int], price: Price, own_key: bool) -> list[Line]:
    if "requests" in price.rates and "requests" not in quantities:
        quantities = {name: quantities.get(name, 1) for name in CLASSES if name in quantities or name == "requests"}
    input_tokens = sum(quantity for name, quantity in quantities.items() if name in INPUT_CLASSES)
    lines = []
    for name, quantity in quantities.items():
        rate = price.rates.get(name)
        if isinstance(rate, Tiered):
            tier_rates = [tier.rate for tier in rate.tiers if input_tokens > tier.above]
            rate = tier_rates[-1] if tier_rates else rate.base
        if rate is None:
            lines.append(Line(name, quantity, None, None, None))
            continue
        unit_price = rate / (MILLION if name in TOKEN_CLASSES else THOUSAND)
        cost = quantity * unit_price
        lines.append(Line(name, quantity, unit_price, cost, Decimal(0) if own_key else cost))
    return lines


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
            if candidate.model_match and _is_match(candidate.model_match, model)
        ]
    else:
        matches = [candidate for candidate in book.providers if candidate.id.lower() == provider]
        matches += [
            candidate for candidate in book.providers if candidate.match and _is_match(candidate.match, provider)
        ]
    return matches[0] if matches else None


def _is_match(clause: Clause, name: str) -> bool:
    """Tell if a clause matches a lower-case name."""
    ((kind, value),) = ((kind, value) for kind, value in clause if value is not None)
    if kind == "any_of":
        return any(_is_match(part, name) for part in value)
    if kind == "all_of":
        return all(_is_match(part, name) for part in value)
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
