"""Rating: turn tokens and prices into ledger entries (docs/rules.md, R5 to R8)."""

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from ledger.money import pico, text
from ledger.token_classes import CLASSES, INPUT_CLASSES
from streams.folds.call import Call, Counts, Dimensions
from streams.folds.emit import Emit
from streams.folds.entry import Documents, Entry, Line, Rated
from streams.folds.event import Event
from streams.folds.fold import Fold
from streams.folds.price_lookup import Offer, find_offer
from streams.folds.state import State
from tallystick.vocabulary.controls.prices import PriceBookAdopted

BOOKS = ("rating", "books")
ADOPTIONS = ("rating", "adoptions")
"""All adoptions, in order: offset, event index, name and document. What books were in force at a position follows."""

Books = tuple[tuple[str, str], ...]
"""Names and documents of the price books in force, in the order of their first adoption."""

ZERO = text(0)
_QUANTITY = msgspec.Raw(b"%d")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class LineTemplate(NamedTuple):
    """The part that all calls share which used the same classes at the same price.

    It holds the unit price of each class, and the JSON of their cost with places for figures: the quantity, then four
    costs where the class has a price.
    """

    unit_prices: list[int | None]
    text: str


def adopt_price_book(event: Event, state: State, documents: Documents, emit: Emit) -> None:
    """Apply ``price_book.adopted``. A name keeps the place of its first adoption."""
    body = event.data["body"]
    name, document = body["name"], body["document"]
    documents(document)  # a missing document stops the fold here, before anything is priced without it
    state.put(BOOKS, _add_book(state.get(BOOKS) or (), name, document))
    state.put(ADOPTIONS, (*(state.get(ADOPTIONS) or ()), (*emit.position()[1:], name, document)))
    emit.decision(
        event.organization, "control.applied", control_type=PriceBookAdopted.control_type, event_source=event.source,
        event_id=event.id,
    )  # fmt: skip


def _add_book(books: Books, name: str, document: str) -> Books:
    """Put a document in force under a name."""
    if any(book_name == name for book_name, _ in books):
        return tuple((book_name, document if book_name == name else former) for book_name, former in books)
    return (*books, (name, document))


def _find_books(position: tuple[int, int] | None, state: State) -> Books:
    """Return the names and documents in force at an offset and event index; None is now."""
    books: Books = state.get(BOOKS) or ()
    if position is None:
        return books
    adoptions = state.get(ADOPTIONS) or ()
    if not adoptions or tuple(adoptions[-1][:2]) < position:
        return books
    books = ()
    for offset, event_index, name, document in adoptions:
        if (offset, event_index) < position:
            books = _add_book(books, name, document)
    return books


def rate_call(
    event: Event, call: Call, state: State, documents: Documents, position: tuple[int, int] | None = None
) -> Entry:
    """Return the entry of a counted inference, by the books in force now or at an offset and event index before."""
    dimensions = call.dimensions
    names, quantities = _select_quantities(call.tokens, call.quantities)
    model = dimensions.model_resolved or dimensions.model
    if model is not None:
        books = [documents(document) for _, document in _find_books(position, state)]
        offer = find_offer(books, dimensions.provider, model, event.time_us)
        if offer is not None:
            return _price_call(dimensions, names, quantities, offer)
    lines = [Line(name, quantity) for name, quantity in zip(names, quantities, strict=True)]
    reason = None if not lines else "no price at that time" if model else "no model"
    return Entry(
        dimensions, _encode(Rated(unpriced_reason=reason, pricing="unpriced" if lines else "free", lines=lines))
    )


def _price_call(dimensions: Dimensions, names: tuple[str, ...], quantities: list[int], offer: Offer) -> Entry:
    if "requests" in offer.unit_prices and "requests" not in names:
        names, quantities = _select_quantities(dict(zip(names, quantities, strict=True)), {"requests": 1})
    tier = -1
    if offer.tiers:
        tier = offer.tier(sum(used for name, used in zip(names, quantities, strict=True) if name in INPUT_CLASSES))
    unit_prices, line_template = _build_line_template(offer, names, tier)
    own_key = dimensions.payer == "customer"
    total = 0
    figures: list[int | str] = []
    for quantity, unit_price in zip(quantities, unit_prices, strict=True):
        figures.append(quantity)
        if unit_price is not None:
            cost = quantity * unit_price
            total += cost
            cost_text = text(cost)
            figures += (cost_text, cost_text, cost_text, ZERO if own_key else cost_text)
    rated = (line_template % tuple(figures)).encode()
    return Entry(dimensions, rated, offer.currency, total, 0 if own_key else total)


@lru_cache(maxsize=10_000)
def _build_line_template(offer: Offer, names: tuple[str, ...], tier: int) -> LineTemplate:
    unit_prices = [offer.unit_price(name, tier) for name in names]
    unpriced_count = unit_prices.count(None)
    lines = [
        Line(name, _QUANTITY) if price is None else Line(name, _QUANTITY, text(price), "%s", "%s", "%s", "%s")
        for name, price in zip(names, unit_prices, strict=True)
    ]
    rated = Rated(
        unpriced_reason="no rate for a class" if unpriced_count else None,
        currency=_escape_percent(offer.currency),
        price_document=_escape_percent(offer.document),
        price_id=_escape_percent(offer.price_id),
        pricing=_classify_pricing(len(lines), unpriced_count),
        lines=lines,
    )  # fmt: skip
    return LineTemplate(unit_prices, _encode(rated).decode())


def negate_entry(entry: Entry) -> Entry:
    """Return the entry that takes another back: the same prices and dimensions, negative quantities and costs."""
    rated = _decode(entry.rated)
    rated["lines"] = [{name: _negate(name, value) for name, value in line.items()} for line in rated["lines"]]
    return entry._replace(rated=_encode(rated), list_cost=-entry.list_cost, billed_cost=-entry.billed_cost)


def _negate(name: str, value: Any) -> Any:
    if name == "quantity":
        return -value
    return text(-pico(value)) if name.endswith("_cost") and value is not None else value


def _classify_pricing(classes: int, missing: int) -> str:
    """Name how much of a call is priced, by how many of its classes have no price."""
    if not classes:
        return "free"
    return "priced" if not missing else "partially_priced" if missing < classes else "unpriced"


def _escape_percent(value: str) -> str:
    """Write a value as a template takes it, where a percent sign marks a place."""
    return value.replace("%", "%%")


def _select_quantities(tokens: Counts | None, quantities_by_class: Counts | None) -> tuple[tuple[str, ...], list[int]]:
    """Return the classes that were used, in their order, and the quantity of each."""
    used = tokens or {}
    if quantities_by_class:
        used = used | quantities_by_class
    names = _sort_classes(tuple(used))
    quantities = [used[name] for name in names]
    if 0 not in quantities:
        return names, quantities
    return tuple(name for name in names if used[name]), [quantity for quantity in quantities if quantity]


@lru_cache(maxsize=10_000)
def _sort_classes(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=CLASSES.index))


FOLD = Fold("rating", on_control={PriceBookAdopted.control_type: adopt_price_book})
"""Entries are made by :func:`rate_call`, which the chain calls before the folds that are given them."""
