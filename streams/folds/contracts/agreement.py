"""Contracts: what an organization pays in place of list prices (docs/rules.md, R16)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from ledger.errors import LogDamaged
from ledger.money import pico, text
from ledger.pricing.contract import STANDARD_MODE
from ledger.pricing.price_dimensions import PRICE_DIMENSIONS, normalize_dimension
from ledger.token_classes import CLASSES, INPUT_CLASSES, TOKEN_CLASSES
from streams.folds.call import Call
from streams.folds.contracts.coverage import COMMITTED, Coverage
from streams.folds.emit import Emit
from streams.folds.entry import Documents, Entry, Unpriced
from streams.folds.event import Event
from streams.folds.fold import Fold
from streams.folds.prices.contract_terms import Agreement, CallNames, CompiledTerm, ContractTerms, Tier
from streams.folds.prices.model_names import list_provider_names
from streams.folds.prices.offer import Offer
from streams.folds.state import State
from streams.folds.unknown_usage import add_bounds
from tallystick.vocabulary.controls.contracts import ContractEnded, ContractSigned

HISTORY = ("contracts", "history")
"""By organization: offset, event index, name and document of what was signed; no document where it ended."""
History = tuple[tuple[int, int, str, str | None], ...]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def sign_contract(event: Event, state: State, documents: Documents, emit: Emit) -> None:
    """Apply ``contract.signed``. A name keeps the place of its first signing."""
    body = event.data["body"]
    terms = open_contract(documents, body["document"])  # a missing document stops the fold here
    if terms.contract.commitments:
        state.put((*COMMITTED, event.organization), True)
    _add_to_history(event, body["document"], state, emit)
    emit.decision(
        event.organization, "control.applied", control_type=ContractSigned.control_type, event_source=event.source,
        event_id=event.id,
    )  # fmt: skip


def end_contract(event: Event, state: State, _: Documents, emit: Emit) -> None:
    """Apply ``contract.ended``."""
    name = event.data["body"]["name"]
    facts = {
        "control_type": ContractEnded.control_type,
        "event_source": event.source,
        "event_id": event.id,
    }
    history = state.get((*HISTORY, event.organization)) or ()
    if name not in dict(_list_in_force(_freeze(history), None)):
        reason = f"no contract {name!r} is in force in this organization"
        emit.decision(event.organization, "control.ineffective", reason=reason, **facts)
        return
    _add_to_history(event, None, state, emit)
    emit.decision(event.organization, "control.applied", **facts)


def open_contract(documents: Documents, digest: str) -> ContractTerms:
    """Return the contract of a document. LogDamaged where the document is a price book."""
    terms = documents(digest)
    if not isinstance(terms, ContractTerms):
        raise LogDamaged(f"the document {digest} is no contract, and one was signed by it: restore the log from a copy")
    return terms


def has_contracts(organization: str, state: State) -> bool:
    """Tell whether an organization ever signed a contract."""
    return state.get((*HISTORY, organization)) is not None


def list_currencies(organization: str, state: State, documents: Documents) -> set[str]:
    """List the currencies of the contracts that an organization has in force now."""
    history = state.get((*HISTORY, organization)) or ()
    return {
        open_contract(documents, document).contract.currency for _, document in _list_in_force(_freeze(history), None)
    }


def find_agreement(
    event: Event, call: Call, offer: Offer | None, state: State, documents: Documents, position: tuple[int, int] | None
) -> Agreement | None:
    """Return what the contract of a call says of it, by those in force now or at a position before: the name signed
    last of those that are valid at the event's time and have a term or a commitment for the call."""
    history = state.get((*HISTORY, event.organization))
    if history is None or call.dimensions.payer == "customer":
        return None
    names = _name_call(call, offer)
    for _, document in reversed(_list_in_force(_freeze(history), position)):
        terms = open_contract(documents, document)
        agreement = terms.find_agreement(names) if terms.holds(event.time_us) else None
        if agreement is not None:
            return agreement
    return None


def apply_agreement(event: Event, call: Call, entry: Entry, agreement: Agreement, state: State, is_new: bool) -> Entry:
    """Return the entry with its costs by the contract. A new entry uses commitments; another is made as it was."""
    rated = _decode(entry.rated)
    lines, tier_basis, tier = complete_lines(rated["lines"], call, agreement)
    currency = entry.currency
    coverage = Coverage(event, agreement, state, is_new)
    billed = tokens = 0
    bound = _read_cost(rated, "greatest_unpriced_cost")
    for line in lines:
        contracted, _ = contract_line(line, agreement, tier)
        if contracted is None:
            continue
        if line["list_cost"] is None:
            tokens += line["quantity"] if line["class"] in TOKEN_CLASSES else 0
            bound = None if bound is None else bound - (_read_cost(line, "greatest_cost") or 0)
            line.pop("greatest_cost", None)
        effective, on_demand = coverage.cover(line["class"], line["quantity"], contracted)
        billed += on_demand
        costs = text(contracted), text(effective), text(on_demand)
        line["contracted_cost"], line["effective_cost"], line["billed_cost"] = costs
    coverage.store()
    if rated["pricing"] != "unknown":
        bound = add_bounds(*(_read_cost(line, "greatest_cost") for line in lines if line["contracted_cost"] is None))
    unpriced = entry.unpriced
    if unpriced is not None:
        unpriced = Unpriced(unpriced.calls, unpriced.tokens - tokens, bound)
    is_known = _describe(rated, lines, bound)
    rated |= {"contract_id": agreement.contract_id, "lines": lines}
    if tier_basis is not None:
        rated.setdefault("tier_basis", tier_basis)
    if any(line["contracted_cost"] is not None for line in lines):
        rated["currency"] = currency = currency or agreement.contract.currency
    return entry._replace(
        rated=_encode(rated), currency=currency, billed_cost=billed, unpriced=None if is_known else unpriced
    )


def _add_to_history(event: Event, document: str | None, state: State, emit: Emit) -> None:
    key = (*HISTORY, event.organization)
    offset, event_index = emit.order()
    state.put(key, (*(state.get(key) or ()), (offset, event_index, event.data["body"]["name"], document)))


def _freeze(history: Any) -> History:
    """Return a history as tuples: a store gives it back as lists."""
    return history if history and type(history[0]) is tuple else tuple(map(tuple, history))


@lru_cache(maxsize=1_000)
def _list_in_force(history: History, position: tuple[int, int] | None) -> tuple[tuple[str, str], ...]:
    """Return the names and documents in force, in the order of their first signing."""
    documents: dict[str, str | None] = {}
    for offset, event_index, name, document in history:
        if position is None or (offset, event_index) < position:
            documents[name] = document
    return tuple((name, document) for name, document in documents.items() if document is not None)


def _name_call(call: Call, offer: Offer | None) -> CallNames:
    dimensions: Any = call.dimensions
    names, models = [dimensions.provider], [dimensions.model_resolved or dimensions.model]
    if offer is not None:
        names.append(offer.seller)
        models.append(offer.model)
    modes = (normalize_dimension(name, getattr(dimensions, name)) or STANDARD_MODE for name in PRICE_DIMENSIONS)
    providers = [spelling for name in _lower_names(names) for spelling in list_provider_names(name)]
    return CallNames(_lower_names(providers), _lower_names(models), *modes)


def _lower_names(names: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.lower() for name in names if name))


def contract_line(line: dict[str, Any], agreement: Agreement, tier: Tier) -> tuple[int | None, CompiledTerm | None]:
    """Return the contracted cost of a line, and the term that gives it: the first that does. None where it is the list
    cost."""
    list_cost = _read_cost(line, "list_cost")
    for term in agreement.terms:
        contracted = term.contract(line["class"], line["quantity"], list_cost, tier)
        if contracted is not None:
            return contracted, term
    return list_cost, None


def _read_cost(values: dict[str, Any], name: str) -> int | None:
    cost = values.get(name)
    return None if cost is None else pico(cost)


def complete_lines(
    lines: list[dict[str, Any]], call: Call, agreement: Agreement
) -> tuple[list[dict[str, Any]], str | None, Tier]:
    """Return the lines with the requests that negotiated rates are for, what chooses the tier of such rates, and it."""
    dimensions = call.dimensions
    rates = [term.unit_prices for term in agreement.terms]
    if any("requests" in prices for prices in rates) and all(line["class"] != "requests" for line in lines):
        line = {"class": "requests", "quantity": dimensions.calls or 1, "unit_price": None, "list_cost": None}
        line |= dict.fromkeys(("contracted_cost", "effective_cost", "billed_cost"))
        lines = sorted([*lines, line], key=lambda line: CLASSES.index(line["class"]))
    has_tiers = any(len(tiers) > 1 for prices in rates for tiers in prices.values())
    input_tokens = sum(line["quantity"] for line in lines if line["class"] in INPUT_CLASSES)
    calls = dimensions.calls or 1
    if dimensions.context_tier is not None:
        basis, tier = "stated", Tier(0, dimensions.context_tier)
    elif dimensions.calls is None and dimensions.period_s:
        basis, tier = "assumed", Tier(0, None)
    else:
        basis, tier = "event" if calls == 1 else "mean", Tier(-(-input_tokens // calls), None)
    return lines, basis if has_tiers else None, tier


def _describe(rated: dict[str, Any], lines: list[dict[str, Any]], bound: int | None) -> bool:
    """Write how much of an entry is priced, and why not all is. Return whether everything of it is known."""
    priced = sum(line["contracted_cost"] is not None for line in lines)
    has_gap = rated["pricing"] == "unknown"
    if not has_gap and priced == len(lines):
        rated["pricing"] = "priced" if lines else "free"
        for name in ("unpriced_reason", "greatest_unpriced_cost"):
            rated.pop(name, None)
        return True
    if not has_gap and priced:
        rated["pricing"], rated["unpriced_reason"] = "partially_priced", "no rate for a class"
    if bound is not None:
        rated["greatest_unpriced_cost"] = text(bound)
    return False


FOLD = Fold(
    "contracts", on_control={ContractSigned.control_type: sign_contract, ContractEnded.control_type: end_contract}
)
