"""What a call cost, once more: price books read as they are written, in decimals (docs/rules.md, R5 to R8)."""

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
    """One class of a call: how much, and what it cost; None is unpriced."""

    name: str
    quantity: int
    unit_price: Decimal | None
    list_cost: Decimal | None
    billed_cost: Decimal | None


class Rated(NamedTuple):
    """A call's lines, and the currency, the document and the price that made them; None where none was found."""

    lines: list[Line]
    currency: str | None
    document: str | None
    price_id: str | None


class Book:
    """A price book, and what was found in it before."""

    def __init__(self, digest: str, book: PriceBook) -> None:
        self.digest = digest
        self.book = book
        self.find = lru_cache(maxsize=10_000)(self._find)

    def _find(self, provider: str | None, model: str) -> tuple[Provider, PricedModel] | None:
        """The model that a call means, and who sells it at this price."""
        seller = _seller(self.book, provider.lower() if provider is not None else None, model.lower())
        if seller is None:
            return None
        sellers = [seller]
        for name in seller.models_of:
            sellers += [other for other in self.book.providers if other.id == name]
        for spelling in (model.lower(), _dashed(model.lower())):
            for owner in sellers:
                for priced in owner.models:
                    if _means(priced.match, spelling):
                        return owner, priced
        return None


def rated(data: Mapping[str, Any], time: datetime, books: Iterable[Book]) -> Rated:
    """The entry of an inference. ``books`` are those in force, the youngest name first."""
    used = _used(data)
    model = data.get("model_resolved") or data.get("model")
    for book in books:
        found = book.find(data.get("provider"), model) if model else None
        if found is None:
            continue
        owner, priced = found
        holding = [(at, price) for at, price in enumerate(priced.prices) if _holds(price, time)]
        if holding:
            at, price = holding[-1]
            lines = _lines(used, price, data.get("payer") == "customer")
            return Rated(lines, book.book.currency, book.digest, f"{book.book.name}/{owner.id}/{priced.id}#{at}")
    return Rated([Line(name, quantity, None, None, None) for name, quantity in used.items()], None, None, None)


def _used(data: Mapping[str, Any]) -> dict[str, int]:
    used: dict[str, int] = {}
    for field, classes in (("tokens", TOKEN_CLASSES), ("quantities", QUANTITY_CLASSES)):
        used |= {name: quantity for name, quantity in data.get(field, {}).items() if name in classes}
    return {name: used[name] for name in CLASSES if used.get(name)}


def _lines(used: dict[str, int], price: Price, own_key: bool) -> list[Line]:
    if "requests" in price.rates and "requests" not in used:
        used = {name: used.get(name, 1) for name in CLASSES if name in used or name == "requests"}
    given = sum(quantity for name, quantity in used.items() if name in INPUT_CLASSES)
    lines = []
    for name, quantity in used.items():
        rate = price.rates.get(name)
        if isinstance(rate, Tiered):
            reached = [tier.rate for tier in rate.tiers if given > tier.above]
            rate = reached[-1] if reached else rate.base
        if rate is None:
            lines.append(Line(name, quantity, None, None, None))
            continue
        unit_price = rate / (MILLION if name in TOKEN_CLASSES else THOUSAND)
        cost = quantity * unit_price
        lines.append(Line(name, quantity, unit_price, cost, Decimal(0) if own_key else cost))
    return lines


def _holds(price: Price, time: datetime) -> bool:
    if price.since is not None and time < price.since:
        return False
    if price.daily is None:
        return True
    start, end, moment = price.daily.start, price.daily.end, time.time()
    if start <= end:
        return start <= moment < end
    return moment >= start or moment < end


def _seller(book: PriceBook, provider: str | None, model: str) -> Provider | None:
    if provider is None:
        meant = [one for one in book.providers if one.model_match and _means(one.model_match, model)]
    else:
        meant = [one for one in book.providers if one.id.lower() == provider]
        meant += [one for one in book.providers if one.match and _means(one.match, provider)]
    return meant[0] if meant else None


def _means(clause: Clause, name: str) -> bool:
    """Whether a name in lower case is meant."""
    ((kind, said),) = ((kind, said) for kind, said in clause if said is not None)
    if kind == "any_of":
        return any(_means(part, name) for part in said)
    if kind == "all_of":
        return all(_means(part, name) for part in said)
    if kind == "regex":
        return re.search(said, name) is not None
    word = str(said).lower()
    return {
        "equals": name == word,
        "starts_with": name.startswith(word),
        "ends_with": name.endswith(word),
        "contains": word in name,
    }[kind]


def _dashed(model: str) -> str:
    found = re.search(r"-([0-9]{4})([0-9]{2})([0-9]{2})$", model)
    if not found:
        return model
    try:
        date(*(int(part) for part in found.groups()))
    except ValueError:
        return model
    return f"{model[: found.start()]}-{found[1]}-{found[2]}-{found[3]}"
