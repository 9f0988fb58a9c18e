"""Rating: tokens and prices to ledger entries (docs/rules.md, R5 to R8)."""

from functools import lru_cache
from typing import NamedTuple

import msgspec

from ledger.money import text
from ledger.token_classes import CLASSES, INPUT_CLASSES
from streams.folds.call import Call, Counts, Dimensions
from streams.folds.emit import Emit
from streams.folds.entry import Documents, Entry, Line, Rated
from streams.folds.event import Event
from streams.folds.price_lookup import Offer, find_offer
from streams.folds.state import State

BOOKS = ("rating", "books")

ZERO = text(0)
_QUANTITY = msgspec.Raw(b"%d")
_encode = msgspec.json.Encoder().encode


class Form(NamedTuple):
    """What is the same of all calls that used the same classes at the same price: the unit price of each class, and
    the JSON of what they cost, with places for quantities and costs (quantity, then four costs where it has a price).
    """

    unit_prices: list[int | None]
    text: str


def adopt_price_book(event: Event, rows: State, documents: Documents, emit: Emit) -> None:
    """``price_book.adopted``: a name keeps the place of its first adoption."""
    body = event.data["body"]
    name, document = body["name"], body["document"]
    documents(document)  # a missing document stops the fold here, before anything is priced without it
    books = [(held, document if held == name else old) for held, old in rows.get(BOOKS) or ()]
    if all(held != name for held, _ in books):
        books.append((name, document))
    rows.put(BOOKS, tuple(books))
    emit.decision(
        event.organization, "control.applied", control_type="price_book.adopted", event_source=event.source,
        event_id=event.id,
    )  # fmt: skip


def rate_call(event: Event, call: Call, rows: State, documents: Documents) -> Entry:
    """The entry of a counted inference."""
    said = call.dimensions
    names, quantities = _used(call.tokens, call.quantities)
    model = said.model_resolved or said.model
    if model is not None:
        books = [documents(document) for _, document in rows.get(BOOKS) or ()]
        offer = find_offer(books, said.provider, model, event.time_us)
        if offer is not None:
            return _priced(said, names, quantities, offer)
    lines = [Line(name, quantity) for name, quantity in zip(names, quantities, strict=True)]
    reason = None if not lines else "no price at that time" if model else "no model"
    return Entry(said, _encode(Rated(unpriced_reason=reason, pricing="unpriced" if lines else "free", lines=lines)))


def _priced(said: Dimensions, names: tuple[str, ...], quantities: list[int], offer: Offer) -> Entry:
    if "requests" in offer.unit_prices and "requests" not in names:
        names, quantities = _used(dict(zip(names, quantities, strict=True)), {"requests": 1})
    tier = -1
    if offer.tiers:
        tier = offer.tier(sum(used for name, used in zip(names, quantities, strict=True) if name in INPUT_CLASSES))
    unit_prices, form = _form(offer, names, tier)
    own_key = said.payer == "customer"
    total = 0
    figures: list[int | str] = []
    for quantity, unit_price in zip(quantities, unit_prices, strict=True):
        figures.append(quantity)
        if unit_price is not None:
            cost = quantity * unit_price
            total += cost
            written = text(cost)
            figures += (written, written, written, ZERO if own_key else written)
    rated = (form % tuple(figures)).encode()
    return Entry(said, rated, offer.currency, total, 0 if own_key else total)


@lru_cache(maxsize=10_000)
def _form(offer: Offer, names: tuple[str, ...], tier: int) -> Form:
    unit_prices = [offer.unit_price(name, tier) for name in names]
    missing = unit_prices.count(None)
    lines = [
        Line(name, _QUANTITY) if price is None else Line(name, _QUANTITY, text(price), "%s", "%s", "%s", "%s")
        for name, price in zip(names, unit_prices, strict=True)
    ]
    rated = Rated(
        unpriced_reason="no rate for a class" if missing else None,
        currency=_plain(offer.currency), price_document=_plain(offer.document), price_id=_plain(offer.price_id),
        pricing="free" if not lines else "priced" if not missing else "partially_priced" if missing < len(lines) else "unpriced",
        lines=lines,
    )  # fmt: skip
    return Form(unit_prices, _encode(rated).decode())


def _plain(said: str) -> str:
    """As it is written in a form, where a percent sign means a place."""
    return said.replace("%", "%%")


def _used(tokens: Counts | None, others: Counts | None) -> tuple[tuple[str, ...], list[int]]:
    """The classes of which something was used, in their order, and how much."""
    used = tokens or {}
    if others:
        used = used | others
    names = _in_order(tuple(used))
    quantities = [used[name] for name in names]
    if 0 not in quantities:
        return names, quantities
    return tuple(name for name in names if used[name]), [quantity for quantity in quantities if quantity]


@lru_cache(maxsize=10_000)
def _in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=CLASSES.index))
