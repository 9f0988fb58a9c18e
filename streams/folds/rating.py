"""Rating: turn tokens and prices into ledger entries (docs/rules.md, R5 to R8 and R12)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from ledger.errors import LogDamaged
from ledger.money import parse_text, pico, text
from ledger.token_classes import CLASSES, INPUT_CLASSES, TOKEN_CLASSES
from streams.folds.call import Call, Counts, Dimensions
from streams.folds.contracts.agreement import apply_agreement, find_agreement, has_contracts
from streams.folds.contracts.coverage import release_coverage
from streams.folds.emit import Emit
from streams.folds.entry import BoundedLine, Documents, Entry, Line, Rated, Unpriced
from streams.folds.event import Event
from streams.folds.fold import Fold
from streams.folds.model_aliases import alias_model, find_aliases, resolve_alias
from streams.folds.prices.contract_terms import Agreement
from streams.folds.prices.model_names import order_models
from streams.folds.prices.offer import HourlyPrice, Offer, select_variant
from streams.folds.prices.price_lookup import Catalogue, find_offer
from streams.folds.state import State
from streams.folds.unknown_usage import (
    add_bounds,
    bound_class,
    bound_quantities,
    bound_tokens,
    find_usage_gap,
    is_cache_hit,
    is_free_by_rule,
    read_figures,
    read_totals,
)
from tallystick.vocabulary.controls.models import ModelAliased
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
FREE = _encode(Rated(pricing="free", lines=[]))


class LineTemplate(NamedTuple):
    """The part that all calls share which used the same classes at the same price.

    It holds the unit price of each class, and the JSON of their cost with places for figures: the quantity, then four
    costs.
    """

    unit_prices: list[int]
    text: str


def adopt_price_book(event: Event, state: State, documents: Documents, emit: Emit) -> None:
    """Apply ``price_book.adopted``. A name keeps the place of its first adoption."""
    body = event.data["body"]
    name, document = body["name"], body["document"]
    open_book(documents, document)  # a missing document stops the fold here, before anything is priced without it
    state.put(BOOKS, _add_book(state.get(BOOKS) or (), name, document))
    state.put(ADOPTIONS, (*(state.get(ADOPTIONS) or ()), (*emit.order(), name, document)))
    emit.decision(
        event.organization, "control.applied", control_type=PriceBookAdopted.control_type, event_source=event.source,
        event_id=event.id,
    )  # fmt: skip


def _add_book(books: Books, name: str, document: str) -> Books:
    """Put a document in force under a name."""
    if any(book_name == name for book_name, _ in books):
        return tuple((book_name, document if book_name == name else former) for book_name, former in books)
    return (*books, (name, document))


def find_books(position: tuple[int, int] | None, state: State) -> Books:
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
    """Return the entry of a counted inference, by the books and contracts in force now or at an offset and event index
    before. Now it uses the commitments of its contract, in place of what an entry of the event used before."""
    is_contracted = has_contracts(event.organization, state)
    if is_contracted and position is None:
        release_coverage(event, state)
    if is_cache_hit(call):
        return _rate_cache_hit(call, _rate_at_list(event, call, _find_offer(event, call, state, documents, position)))
    if is_free_by_rule(call):
        return Entry(call.dimensions, FREE)
    offer = _find_offer(event, call, state, documents, position)
    listed = offer if isinstance(offer, Offer) else None
    agreement = find_agreement(event, call, listed, state, documents, position) if is_contracted else None
    if agreement is None:
        return _rate_at_list(event, call, offer)
    if listed is not None and agreement.has_rates and listed.currency != agreement.contract.currency:
        offer = "no list price in the contract's currency"  # an entry has one currency
    return apply_agreement(event, call, _rate_at_list(event, call, offer), agreement, state, is_new=position is None)


def find_call_agreement(
    event: Event, call: Call, state: State, documents: Documents, position: tuple[int, int] | None
) -> Agreement | None:
    """Return what the contract of a call says of it, by the books and contracts in force now or at a position before;
    None of a call that has no costs."""
    if is_free_by_rule(call):
        return None
    offer = _find_offer(event, call, state, documents, position)
    return find_agreement(event, call, offer if isinstance(offer, Offer) else None, state, documents, position)


def _rate_cache_hit(call: Call, entry: Entry) -> Entry:
    """Return the entry of a call that a gateway's cache answered, from the one that its usage would have had: free,
    with the list cost that it saved, where all of that is known."""
    if entry.currency is None or _decode(entry.rated)["pricing"] != "priced":
        return Entry(call.dimensions, FREE)
    rated = Rated(currency=entry.currency, pricing="free", saved_cost=text(entry.list_cost), lines=[])
    return Entry(call.dimensions, _encode(rated))


def _rate_at_list(event: Event, call: Call, offer: Offer | str) -> Entry:
    """Return the entry of a call at list prices. Where it has none, ``offer`` is the reason."""
    gap = find_usage_gap(call)
    names, quantities = _select_quantities(call.tokens, call.quantities)
    if isinstance(offer, Offer):
        return _price_call(event, call, names, quantities, offer, gap)
    lines = [Line(name, quantity) for name, quantity in zip(names, quantities, strict=True)]
    if not lines and gap is None:
        return Entry(call.dimensions, FREE)
    rated = Rated(unpriced_reason=gap or offer, pricing="unpriced", lines=lines)
    return _leave_unpriced(call, lines, gap, rated, None)


def rate_quarantined(
    event: Event, call: Call, state: State, documents: Documents, position: tuple[int, int] | None = None
) -> Entry:
    """Return the entry of a quarantined inference: no lines, and the most that it may cost, by the books in force now
    or at an offset and event index before."""
    dimensions = call.dimensions
    if is_free_by_rule(call):
        return Entry(dimensions, _encode(Rated(pricing="free", greatest_unpriced_cost=ZERO, lines=[])))
    offer = _find_offer(event, call, state, documents, position)
    figures = read_totals(call) if call.tokens else read_figures(call)
    has_tokens = call.tokens or find_usage_gap(call)
    rated = Rated(
        unpriced_reason="quarantined", pricing="unknown", unknown_tokens=figures.sum_tokens() or None, lines=[]
    )
    if isinstance(offer, str):
        return Entry(dimensions, _encode(rated), unpriced=_describe_unpriced(call, figures.sum_tokens(), None))
    offer, _ = _select_variant(event, call, offer)
    bound = add_bounds(*bound_quantities(call, offer), *([bound_tokens(figures, call, offer)] if has_tokens else ()))
    _name_price(rated, offer)
    rated.greatest_unpriced_cost = None if bound is None else text(bound)
    return Entry(
        dimensions, _encode(rated), offer.currency, unpriced=_describe_unpriced(call, figures.sum_tokens(), bound)
    )


def find_bounding_offer(event: Event, call: Call, state: State, documents: Documents) -> Offer | None:
    """Return the price by which a call is bounded now, in the variant that it states; None where it has none."""
    offer = _find_offer(event, call, state, documents, None)
    return None if isinstance(offer, str) else _select_variant(event, call, offer)[0]


def _find_offer(
    event: Event, call: Call, state: State, documents: Documents, position: tuple[int, int] | None
) -> Offer | str:
    """Return the price of a call, or the reason why it has none."""
    books = [open_book(documents, document) for _, document in find_books(position, state)]
    provider, models = resolve_names(call, state, position)
    return find_offer(books, provider, models, event.time_us)


def find_alias(call: Call, state: State, position: tuple[int, int] | None) -> tuple[str, Sequence[str]] | None:
    """Return the provider and the model that an alias gives a call, now or at a position; None where none does."""
    dimensions = call.dimensions
    aliases = find_aliases(position, state)
    if not aliases:
        return None
    return resolve_alias(aliases, dimensions.provider, dimensions.model_resolved, dimensions.model)


def resolve_names(call: Call, state: State, position: tuple[int, int] | None) -> tuple[str | None, Sequence[str]]:
    """Return the provider and the models by which a call finds its price: those of its alias, or its own."""
    dimensions = call.dimensions
    own_names = dimensions.provider, order_models(dimensions.model_resolved, dimensions.model)
    return find_alias(call, state, position) or own_names


def open_book(documents: Documents, digest: str) -> Catalogue:
    """Return the price book of a document. LogDamaged where the document is a contract."""
    catalogue = documents(digest)
    if not isinstance(catalogue, Catalogue):
        raise LogDamaged(f"the document {digest} was adopted and is no price book: restore the log from a copy")
    return catalogue


def _select_variant(event: Event, call: Call, offer: Offer) -> tuple[Offer, str | None]:
    """Return the price for the dimensions that a call states, and why it has none."""
    dimensions = call.dimensions
    return select_variant(offer, dimensions.service_tier, dimensions.speed, dimensions.geography, event.time_us)


def _price_call(
    event: Event, call: Call, names: tuple[str, ...], quantities: list[int], offer: Offer, gap: str | None
) -> Entry:
    dimensions = call.dimensions
    offer, reason = _select_variant(event, call, offer)
    if "requests" in offer.bound_prices and "requests" not in names:
        usage = dict(zip(names, quantities, strict=True))
        names, quantities = _select_quantities(usage, {"requests": dimensions.calls or 1})
    tier, tier_basis = _choose_tier(dimensions, names, quantities, offer) if offer.tiers else (-1, None)
    template = _build_line_template(offer, names, tier, tier_basis)
    if gap is not None or template is None:
        return _price_in_part(call, names, quantities, offer, gap, reason, tier, tier_basis)
    unit_prices, line_template = template
    own_key = dimensions.payer == "customer"
    total = 0
    figures: list[int | str] = []
    for quantity, unit_price in zip(quantities, unit_prices, strict=True):
        figures.append(quantity)
        cost = quantity * unit_price
        total += cost
        cost_text = text(cost)
        own_text = ZERO if own_key else cost_text
        figures += (cost_text, cost_text, own_text, own_text)
    rated = (line_template % tuple(figures)).encode()
    return Entry(dimensions, rated, offer.currency, total, 0 if own_key else total)


def _choose_tier(
    dimensions: Dimensions, names: tuple[str, ...], quantities: list[int], offer: Offer
) -> tuple[int, str]:
    """Return the tier of a call and what tells it: its source, its own input tokens, or the mean of an aggregate's. An
    aggregate of an unknown number of calls is assumed to be in none."""
    if dimensions.context_tier is not None:
        return offer.stated_tier(dimensions.context_tier), "stated"
    if dimensions.calls is None and dimensions.period_s:
        return -1, "assumed"
    input_tokens = sum(used for name, used in zip(names, quantities, strict=True) if name in INPUT_CLASSES)
    calls = dimensions.calls or 1
    if calls == 1:
        return offer.tier(input_tokens), "event"
    return offer.tier(-(-input_tokens // calls)), "mean"  # rounded up: above a whole number as the mean itself is


@lru_cache(maxsize=10_000)
def _build_line_template(
    offer: Offer, names: tuple[str, ...], tier: int, tier_basis: str | None
) -> LineTemplate | None:
    """Build the template of calls with these classes; None where a class has no price, or one by the hour."""
    unit_prices = [offer.unit_price(name, tier) for name in names]
    prices = [price for price in unit_prices if isinstance(price, int)]
    if len(prices) < len(names):
        return None
    lines = [
        Line(name, _QUANTITY, text(price), "%s", "%s", "%s", "%s") for name, price in zip(names, prices, strict=True)
    ]
    rated = Rated(
        currency=_escape_percent(offer.currency),
        price_document=_escape_percent(offer.document),
        price_id=_escape_percent(offer.price_id),
        tier_basis=tier_basis,
        pricing="priced" if lines else "free",
        lines=lines,
    )  # fmt: skip
    return LineTemplate(prices, _encode(rated).decode())


def negate_entry(entry: Entry) -> Entry:
    """Return the entry that takes another back: the same prices and dimensions, negative quantities and costs."""
    rated = {name: _negate(name, value) for name, value in _decode(entry.rated).items()}
    rated["lines"] = [{name: _negate(name, value) for name, value in line.items()} for line in rated["lines"]]
    return entry._replace(rated=_encode(rated), list_cost=-entry.list_cost, billed_cost=-entry.billed_cost)


def _negate(name: str, value: Any) -> Any:
    if name in ("quantity", "unknown_tokens"):
        return -value
    return text(-parse_text(value)) if name.endswith("_cost") and value is not None else value


def _price_in_part(
    call: Call,
    names: tuple[str, ...],
    quantities: list[int],
    offer: Offer,
    gap: str | None,
    reason: str | None,
    tier: int,
    tier_basis: str | None,
) -> Entry:
    """Price the classes that have a rate, and bound the rest."""
    own_key = call.dimensions.payer == "customer"
    calls = call.dimensions.calls or 1
    lines: list[Line] = []
    total = unpriced_count = 0
    for name, quantity in zip(names, quantities, strict=True):
        unit_price = offer.unit_price(name, tier)
        if unit_price is None:
            bound = bound_class(name, quantity, offer, tier, calls)
            unpriced_count += 1
            lines.append(
                Line(name, quantity) if bound is None else BoundedLine(name, quantity, greatest_cost=text(bound))
            )
            continue
        if isinstance(unit_price, HourlyPrice):
            cost, unit_price = unit_price.cost(quantity, calls), unit_price.unit_price
        else:
            cost = quantity * unit_price
        total += cost
        cost_text = text(cost)
        own_text = ZERO if own_key else cost_text
        costs = (cost_text, cost_text, own_text, own_text)
        lines.append(Line(name, quantity, text(unit_price), *costs))
    rated = Rated(tier_basis=tier_basis, pricing="priced", lines=lines)
    _name_price(rated, offer)
    if gap is None and not unpriced_count:
        entry = Entry(call.dimensions, _encode(rated))
    else:
        rated.unpriced_reason = gap or reason or "no rate for a class"
        rated.pricing = "unpriced" if unpriced_count == len(lines) else "partially_priced"
        entry = _leave_unpriced(call, lines, gap, rated, offer)
    return entry._replace(currency=offer.currency, list_cost=total, billed_cost=0 if own_key else total)


def _leave_unpriced(call: Call, lines: list[Line], gap: str | None, rated: Rated, offer: Offer | None) -> Entry:
    """Return an entry with what is not known of a call: unpriced lines, and tokens that stand in no line."""
    unpriced_lines = [line for line in lines if line.list_cost is None]
    bounds = [pico(line.greatest_cost) if isinstance(line, BoundedLine) else None for line in unpriced_lines]
    unknown_tokens = 0
    if gap is not None:
        figures = read_figures(call)
        unknown_tokens = figures.sum_tokens()
        bounds.append(None if offer is None else bound_tokens(figures, call, offer))
        rated.pricing, rated.unknown_tokens = "unknown", unknown_tokens or None
    bound = add_bounds(*bounds)
    rated.greatest_unpriced_cost = None if bound is None else text(bound)
    unpriced_tokens = sum(int(line.quantity) for line in unpriced_lines if line.name in TOKEN_CLASSES)
    return Entry(
        call.dimensions, _encode(rated), unpriced=_describe_unpriced(call, unknown_tokens + unpriced_tokens, bound)
    )


def _describe_unpriced(call: Call, tokens: int, bound: int | None) -> Unpriced:
    """Return what is not known of a call's cost, whoever pays."""
    return Unpriced(call.dimensions.calls or 1, tokens, bound)


def _name_price(rated: Rated, offer: Offer) -> None:
    rated.currency, rated.price_document, rated.price_id = offer.currency, offer.document, offer.price_id


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


FOLD = Fold(
    "rating", on_control={PriceBookAdopted.control_type: adopt_price_book, ModelAliased.control_type: alias_model}
)
"""Entries are made by :func:`rate_call`, which the chain calls before the folds that are given them."""
