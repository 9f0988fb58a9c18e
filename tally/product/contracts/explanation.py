"""Explain the costs of an entry under a contract: the term that gave each class its contracted cost, and what a
commitment covered of it."""

from typing import Any

from ledger.money import brief, pico, text
from ledger.pricing.contract import Term
from ledger.token_classes import rate_unit
from streams.folds.call import Call
from streams.folds.contracts.agreement import complete_lines, contract_line
from streams.folds.prices.contract_terms import Agreement, CompiledCommitment

Facts = dict[str, Any]


def describe_contract(agreement: Agreement, call: Call, lines: list[Facts]) -> Facts:
    """Describe what a contract made of the lines of a call. A reversal's are described as those that it takes back."""
    lines = [_take_signs_away(line) for line in lines]
    _, _, tier = complete_lines(lines, call, agreement)
    classes = {}
    for line in lines:
        if line["contracted_cost"] is None:
            continue
        _, compiled_term = contract_line(line, agreement, tier)
        facts: Facts = {} if compiled_term is None else _describe_term(compiled_term.term, agreement, line)
        classes[line["class"]] = facts | _describe_coverage(agreement, line)
    return {"name": agreement.contract.name, "document": agreement.document, "classes": classes}


def _take_signs_away(line: Facts) -> Facts:
    costs = {name: value and value.removeprefix("-") for name, value in line.items() if name.endswith("_cost")}
    return line | costs | {"quantity": abs(line["quantity"])}


def _describe_term(term: Term, agreement: Agreement, line: Facts) -> Facts:
    """Name a term by its place in the contract, counted from 0, and what it gives the class."""
    place = next(place for place, other in enumerate(agreement.contract.terms) if other is term)
    if term.discount is not None:
        return {"term": place, "discount": str(term.discount)}
    unit_price = pico(line["contracted_cost"]) // line["quantity"]
    per = rate_unit(line["class"])
    return {"term": place, "rate": _write(unit_price * per), "per": per}


def _describe_coverage(agreement: Agreement, line: Facts) -> Facts:
    """Name the commitments of which a line's costs may come, and how much they covered: units, or an amount. Two of
    the same rates cannot be told apart by the entry."""
    contracted, effective, billed = (pico(line[name]) for name in ("contracted_cost", "effective_cost", "billed_cost"))
    if billed == contracted and effective == contracted:
        return {}
    candidates = []
    for part in agreement.commitments:
        covered = _measure_covered(part, line["class"], effective - billed)
        whole = part.measure(line["class"], line["quantity"], contracted)
        if whole is None or (covered == 0 and whole > 0):
            continue
        if part.split(line["class"], line["quantity"], contracted, covered) == (effective, billed):
            amounts = (covered, whole) if part.commitment.units is not None else (_write(covered), _write(whole))
            candidates.append({"name": part.commitment.name, "covered": amounts[0], "of": amounts[1]})
    return {"commitments": candidates} if candidates else {}


def _measure_covered(part: CompiledCommitment, name: str, paid: int) -> int:
    """Return how much of a commitment was used by a line for which it was paid so much; 0 where that is no whole
    number of its units."""
    if part.commitment.units is None:
        return paid
    unit_price = part.unit_prices.get(name, 0)
    return paid // unit_price if unit_price and paid % unit_price == 0 else 0


def _write(amount: int) -> str:
    return brief(text(amount))
