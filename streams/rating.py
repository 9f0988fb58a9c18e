"""Rating: tokens and prices to ledger entries (docs/rules.md, R5 to R8)."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ledger.classes import CLASSES, INPUT_CLASSES, QUANTITY_CLASSES, TOKEN_CLASSES
from ledger.money import text
from streams.emit import Emit
from streams.event import Event
from streams.pricing import Catalogue, Offer, UnitPrice, find
from streams.rows import Rows
from tallystick import Inference

BOOKS = ("rating", "books")
Documents = Callable[[str], Catalogue]
"""The price book of a document's hash; it raises TallyError where the log does not hold it."""

DIMENSIONS = frozenset(Inference.model_fields) - {
    "tokens", "quantities", "reported_tokens", "provider_usage", "rate_limits", "violations",
}  # fmt: skip
ZERO = text(0)
_written = lru_cache(maxsize=10_000)(text)  # unit prices are few


class Entry(NamedTuple):
    """What a counted inference cost, in pico; unpriced classes add nothing."""

    facts: dict[str, Any]  # as they stand on tally.entries
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


def rate(event: Event, rows: Rows, documents: Documents) -> Entry:
    """The entry of a counted inference."""
    data = event.data
    facts = {name: value for name, value in data.items() if name in DIMENSIONS}
    quantities = _quantities(data)
    model = data.get("model_resolved") or data.get("model")
    offer = None
    if model is not None:
        books = [documents(document) for _, document in rows.get(BOOKS) or ()]
        offer = find(books, data.get("provider"), model, event.time_us)
    if offer is None:
        lines = [_unpriced(name, quantity) for name, quantity in quantities]
        if lines:
            facts["unpriced_reason"] = "no price at that time" if model else "no model"
        return Entry(facts | {"pricing": "unpriced" if lines else "free", "lines": lines})
    return _priced(facts, quantities, offer, data.get("payer") == "customer")


def _priced(facts: dict[str, Any], quantities: list[tuple[str, int]], offer: Offer, own_key: bool) -> Entry:
    if "requests" in offer.unit_prices and all(name != "requests" for name, _ in quantities):
        quantities = [*quantities, ("requests", 1)]
        quantities.sort(key=lambda line: CLASSES.index(line[0]))
    given = sum([quantity for name, quantity in quantities if name in INPUT_CLASSES])
    lines: list[dict[str, Any]] = []
    total = missing = 0
    for name, quantity in quantities:
        unit_price = _at(offer.unit_prices.get(name), given)
        if unit_price is None:
            lines.append(_unpriced(name, quantity))
            missing += 1
            continue
        cost = quantity * unit_price
        total += cost
        said = text(cost)
        lines.append(
            {
                "class": name,
                "quantity": quantity,
                "unit_price": _written(unit_price),
                "list_cost": said,
                "contracted_cost": said,
                "effective_cost": said,
                "billed_cost": ZERO if own_key else said,
            }
        )
    pricing = "free" if not lines else "priced" if not missing else "partly" if missing < len(lines) else "unpriced"
    if missing:
        facts["unpriced_reason"] = "no rate for a class"
    facts |= {
        "currency": offer.currency,
        "price_document": offer.document,
        "price_id": offer.price_id,
        "pricing": pricing,
        "lines": lines,
    }
    return Entry(facts, offer.currency, total, 0 if own_key else total)


def _quantities(data: dict[str, Any]) -> list[tuple[str, int]]:
    """What was used, by class in the order of the classes, without what was nothing."""
    used: list[tuple[str, int]] = []
    for field, classes in (("tokens", TOKEN_CLASSES), ("quantities", QUANTITY_CLASSES)):
        if said := data.get(field):
            used += [(name, said[name]) for name in classes if said.get(name)]
    return used


def _at(unit_price: UnitPrice | None, given: int) -> int | None:
    if not isinstance(unit_price, tuple | list):
        return unit_price
    return next(pico for above, pico in reversed(unit_price) if given > above)


def _unpriced(name: str, quantity: int) -> dict[str, Any]:
    costs: Sequence[str] = ("unit_price", "list_cost", "contracted_cost", "effective_cost", "billed_cost")
    return {"class": name, "quantity": quantity} | dict.fromkeys(costs)
