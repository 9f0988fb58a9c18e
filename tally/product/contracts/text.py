"""Describe a contract in lines of text, as `tally contract list` shows it."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from ledger.pricing.contract import Commitment, Contract, Scope, Term
from ledger.pricing.price_book import Clause, Tiered
from tallystick.vocabulary.base import format_decimal


def describe_contract(contract: Contract) -> Iterator[str]:
    """Yield what a contract says, a line for each of its terms and commitments."""
    parties = f"with {_describe_clause(contract.provider)}" if contract.provider else "with any provider"
    since = f", from {contract.since:%Y-%m-%d %H:%M} UTC" if contract.since else ""
    until = f", until {contract.until:%Y-%m-%d %H:%M} UTC" if contract.until else ""
    yield f"{contract.name}: {contract.currency}, {parties}{since}{until}"
    for place, term in enumerate(contract.terms):
        yield f"  term {place:<6} {_describe_term(term)}"
    for commitment in contract.commitments:
        yield f"  commitment  {_describe_commitment(commitment)}"


def _describe_term(term: Term) -> str:
    modes = {"service tier": term.service_tier, "speed": term.speed, "geography": term.geography}
    scopes = [_describe_scope(term), *(f"{name} {_describe_clause(mode)}" for name, mode in modes.items() if mode)]
    if term.discount is None:
        price = _describe_rates(term.rates or {})
    else:
        price = f"{format_decimal(term.discount)} % off " + (", ".join(term.classes) if term.classes else "every class")
    return f"{', '.join(filter(None, scopes)) or 'every call'}: {price}"


def _describe_commitment(commitment: Commitment) -> str:
    article = "an" if commitment.period == "hour" else "a"
    period = "in all" if commitment.period == "contract" else f"{article} {commitment.period}"
    if commitment.amount is None:
        size = f"{commitment.units:,} units {period}, at {_describe_rates(commitment.rates)}"
    else:
        size = f"{format_decimal(commitment.amount)} {period}"
        if commitment.rates:
            size += f", drawn at {_describe_rates(commitment.rates)}"
        elif commitment.discount is not None:
            size += f", drawn {format_decimal(commitment.discount)} % below the contracted cost"
    return f"{commitment.name}, for {_describe_scope(commitment) or 'every call'}: {size}"


def _describe_scope(scope: Scope) -> str:
    names = {"provider": scope.provider, "model": scope.model}
    return ", ".join(f"{name} {_describe_clause(clause)}" for name, clause in names.items() if clause)


def _describe_rates(rates: Mapping[str, Decimal | Tiered]) -> str:
    words = []
    for name, rate in rates.items():
        steps = [format_decimal(rate)] if isinstance(rate, Decimal) else [format_decimal(rate.base)]
        if not isinstance(rate, Decimal):
            steps += [f"{format_decimal(tier.rate)} above {tier.above:,}" for tier in rate.tiers]
        words.append(f"{name} {', '.join(steps)}")
    return "; ".join(words)


def _describe_clause(clause: Clause) -> str:
    parts = clause.any_of or clause.all_of
    if parts:
        return (" or " if clause.any_of else " and ").join(map(_describe_clause, parts))
    ((kind, value),) = clause.model_dump(exclude_none=True).items()
    return str(value) if kind == "equals" else f"{kind.replace('_', ' ')} {value}"
