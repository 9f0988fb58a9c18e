"""Rating: tokens and prices to ledger entries (docs/rules.md, R5 to R8)."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from ledger.classes import CLASSES, INPUT_CLASSES
from ledger.money import text
from streams.call import Call, Counts, Dimensions
from streams.emit import Emit
from streams.event import Event
from streams.pricing import Catalogue, Offer, find
from streams.rows import Rows

BOOKS = ("rating", "books")
Documents = Callable[[str], Catalogue]
"""The price book of a document's hash; it raises TallyError where the log does not hold it."""

ZERO = text(0)
_written = lru_cache(maxsize=10_000)(text)  # unit prices are few


class Line(msgspec.Struct, gc=False):
    """What was used of a class, and what it cost, as it stands on tally.entries."""

    name: str = msgspec.field(name="class")
    quantity: int
    unit_price: str | None = None
    list_cost: str | None = None
    contracted_cost: str | None = None
    effective_cost: str | None = None
    billed_cost: str | None = None


class Rated(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """What it cost and by which price, as that stands on tally.entries behind the dimensions."""

    unpriced_reason: str | None = None
    currency: str | None = None
    price_document: str | None = None
    price_id: str | None = None
    pricing: str
    lines: list[Line]


class Entry(NamedTuple):
    """What a counted inference cost, in pico; unpriced classes add nothing."""

    dimensions: Dimensions
    rated: Rated
    currency: str | None = None
    list_cost: int = 0
    billed_cost: int = 0


def adopt(event: Event, rows: Rows, documents: Documents, emit: Emit) -> None:
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


def rate(event: Event, call: Call, rows: Rows, documents: Documents) -> Entry:
    """The entry of a counted inference."""
    said = call.dimensions
    quantities = _quantities(call.tokens, call.quantities)
    model = said.model_resolved or said.model
    offer = None
    if model is not None:
        books = [documents(document) for _, document in rows.get(BOOKS) or ()]
        offer = find(books, said.provider, model, event.time_us)
    if offer is not None:
        return _priced(said, quantities, offer)
    lines = [Line(name, quantity) for name, quantity in quantities]
    if not lines:
        return Entry(said, Rated(pricing="free", lines=lines))
    reason = "no price at that time" if model else "no model"
    return Entry(said, Rated(unpriced_reason=reason, pricing="unpriced", lines=lines))


def _priced(said: Dimensions, quantities: list[tuple[str, int]], offer: Offer) -> Entry:
    if "requests" in offer.unit_prices and all(name != "requests" for name, _ in quantities):
        quantities = sorted([*quantities, ("requests", 1)], key=lambda line: CLASSES.index(line[0]))
    own_key = said.payer == "customer"
    lines: list[Line] = []
    total = missing = 0
    for name, quantity in quantities:
        unit_price = offer.unit_prices.get(name)
        if unit_price is None:
            lines.append(Line(name, quantity))
            missing += 1
            continue
        if isinstance(unit_price, tuple):
            given = sum([used for one, used in quantities if one in INPUT_CLASSES])
            unit_price = next(pico for above, pico in reversed(unit_price) if given > above)
        cost = quantity * unit_price
        total += cost
        written = text(cost)
        lines.append(
            Line(name, quantity, _written(unit_price), written, written, written, ZERO if own_key else written)
        )
    rated = Rated(
        unpriced_reason="no rate for a class" if missing else None,
        currency=offer.currency, price_document=offer.document, price_id=offer.price_id,
        pricing="free" if not lines else "priced" if not missing else "partly" if missing < len(lines) else "unpriced",
        lines=lines,
    )  # fmt: skip
    return Entry(said, rated, offer.currency, total, 0 if own_key else total)


def _quantities(tokens: Counts | None, others: Counts | None) -> list[tuple[str, int]]:
    """What was used, by class in the order of the classes, without what was nothing."""
    used = {**(tokens or {}), **(others or {})}
    return [(name, used[name]) for name in _in_order(tuple(used)) if used[name]]


@lru_cache(maxsize=10_000)
def _in_order(names: tuple[str, ...]) -> list[str]:
    return sorted(names, key=CLASSES.index)
