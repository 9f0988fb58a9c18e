"""Find what a contract says of a call: its terms, and the commitments that may cover it (docs/rules.md, R16)."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import NamedTuple, TypeVar

from ledger.money import PICO, share
from ledger.pricing.contract import PERCENT_DECIMALS, STANDARD_MODE, Commitment, Contract, Scope, Term
from ledger.pricing.price_book import Clause, PriceBook, Tiered
from ledger.token_classes import CONTRACTED_AS, rate_unit
from streams.folds.prices.clauses import is_match
from streams.folds.prices.model_names import find_provider_id
from streams.folds.prices.price_lookup import Catalogue

UnitPrice = TypeVar("UnitPrice")
_WHOLE = 100 * 10**PERCENT_DECIMALS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_US = 3600 * 1_000_000


class CallNames(NamedTuple):
    """The names of a call that clauses are compared with, in lower case."""

    providers: tuple[str, ...]
    models: tuple[str, ...]
    service_tier: str
    speed: str
    geography: str


class Tier(NamedTuple):
    """The input tokens that choose a tier of negotiated rates, or where the tier begins that the source states."""

    input_tokens: int
    stated: int | None


class CompiledTerm(NamedTuple):
    """A term with its rates in pico a unit: (above, pico) by rising threshold, the base with -1."""

    term: Term
    unit_prices: Mapping[str, tuple[tuple[int, int], ...]]

    def contract(self, name: str, quantity: int, list_cost: int | None, tier: Tier) -> int | None:
        """Return the contracted cost of a class; None where the term does not give it a price."""
        if self.term.discount is not None:
            is_covered = self.term.classes is None or name in self.term.classes
            return None if list_cost is None or not is_covered else reduce_cost(list_cost, self.term.discount)
        prices = self.unit_prices.get(name)
        if prices is None:
            return None
        return quantity * next(pico for above, pico in reversed(prices) if _reaches(tier, above))


class CompiledCommitment(NamedTuple):
    """A commitment with its effective rates in pico a unit, and its size: units, or pico."""

    commitment: Commitment
    unit_prices: Mapping[str, int]
    size: int

    def measure(self, name: str, quantity: int, contracted_cost: int) -> int | None:
        """Return how much of the commitment a line uses that is covered whole: 0 where it draws nothing, and None where
        the commitment covers no such line."""
        if self.unit_prices:
            unit_price = self.unit_prices.get(name)
            if unit_price is None:
                return None
            return quantity * unit_price if self.commitment.units is None else quantity
        discount = self.commitment.discount
        return contracted_cost if discount is None else reduce_cost(contracted_cost, discount)

    def split(self, name: str, quantity: int, contracted_cost: int, covered: int) -> tuple[int, int]:
        """Return the effective and the billed cost of a line of which so much is covered."""
        whole = self.measure(name, quantity, contracted_cost)
        on_demand = contracted_cost - share(contracted_cost, covered, whole) if whole else 0
        paid = covered * self.unit_prices[name] if self.commitment.units is not None else covered
        return paid + on_demand, on_demand


class Agreement(NamedTuple):
    """The contract of a call, with the terms and commitments that fit it."""

    contract: Contract
    document: str
    terms: tuple[CompiledTerm, ...]
    commitments: tuple[CompiledCommitment, ...]

    @property
    def contract_id(self) -> str:
        return f"{self.contract.name}@{self.document}"

    @property
    def has_rates(self) -> bool:
        """Tell whether it names amounts of its own currency for the call."""
        return bool(self.commitments) or any(term.term.rates is not None for term in self.terms)


class ContractTerms:
    """One contract, compiled."""

    def __init__(self, document: str, contract: Contract) -> None:
        self.document = document
        self.contract = contract
        self._since_us, self._until_us = _to_us(contract.since), _to_us(contract.until)
        self._terms = tuple(map(_compile_term, contract.terms))
        self._commitments = tuple(map(_compile_commitment, contract.commitments))
        self.find_agreement: Callable[[CallNames], Agreement | None] = lru_cache(maxsize=10_000)(self._find_agreement)

    def holds(self, time_us: int) -> bool:
        """Tell whether the contract is valid at a moment."""
        return (self._since_us is None or time_us >= self._since_us) and (
            self._until_us is None or time_us < self._until_us
        )

    def _find_agreement(self, names: CallNames) -> Agreement | None:
        """Return what the contract says of a call of these names; None where nothing in it fits."""
        if not _fits(_spell_clause(self.contract.provider), names.providers):
            return None
        terms = tuple(term for term in self._terms if _is_in_scope(term.term, names) and _has_mode(term.term, names))
        commitments = tuple(part for part in self._commitments if _is_in_scope(part.commitment, names))
        return Agreement(self.contract, self.document, terms, commitments) if terms or commitments else None


def compile_document(digest: str, document: PriceBook | Contract) -> Catalogue | ContractTerms:
    """Compile a price book or a contract."""
    return Catalogue(digest, document) if isinstance(document, PriceBook) else ContractTerms(digest, document)


def find_period_start(period: str, time_us: int) -> int:
    """Return the start of the period of a moment, in microseconds; 0 for the whole contract."""
    if period == "contract":
        return 0
    if period in ("hour", "day"):
        length = _HOUR_US if period == "hour" else 24 * _HOUR_US
        return time_us - time_us % length
    moment = _EPOCH + timedelta(microseconds=time_us)
    start = datetime(moment.year, moment.month if period == "month" else 1, 1, tzinfo=UTC)
    return (start - _EPOCH).days * 24 * _HOUR_US


def reduce_cost(cost: int, discount: Decimal) -> int:
    """Take a discount in percent off a cost."""
    return share(cost, _WHOLE - int(discount * 10**PERCENT_DECIMALS), _WHOLE)


def _compile_term(term: Term) -> CompiledTerm:
    unit_prices = {}
    for name, rate in (term.rates or {}).items():
        scale = PICO // rate_unit(name)
        tiers = ((tier.above, tier.rate) for tier in rate.tiers) if isinstance(rate, Tiered) else ()
        base = rate.base if isinstance(rate, Tiered) else rate
        unit_prices[name] = tuple((above, int(figure * scale)) for above, figure in ((-1, base), *tiers))
    return CompiledTerm(term, _complete(unit_prices))


def _compile_commitment(commitment: Commitment) -> CompiledCommitment:
    unit_prices = {name: int(rate * (PICO // rate_unit(name))) for name, rate in commitment.rates.items()}
    return CompiledCommitment(commitment, _complete(unit_prices), measure_commitment(commitment))


def measure_commitment(commitment: Commitment) -> int:
    """Return the size of a commitment: units, or pico."""
    size = commitment.units if commitment.amount is None else int(commitment.amount * PICO)
    assert size is not None, "a commitment has either units or an amount"
    return size


def _complete(unit_prices: dict[str, UnitPrice]) -> dict[str, UnitPrice]:
    """Add the classes that take the rate of another."""
    sources = {
        name: next((source for source in candidates if source in unit_prices), None)
        for name, candidates in CONTRACTED_AS.items()
    }
    return {name: unit_prices[source] for name, source in sources.items() if source is not None} | unit_prices


def _is_in_scope(scope: Scope, names: CallNames) -> bool:
    return _fits(_spell_clause(scope.provider), names.providers) and _fits(scope.model, names.models)


def _has_mode(term: Term, names: CallNames) -> bool:
    """Tell whether a term is for the call's price dimensions. Rates that name none are for the standard ones; a
    discount that names none is for all."""
    for clause, mode in (
        (term.service_tier, names.service_tier),
        (term.speed, names.speed),
        (term.geography, names.geography),
    ):
        if clause is not None:
            if not is_match(clause, mode):
                return False
        elif term.rates is not None and mode != STANDARD_MODE:
            return False
    return True


@cache
def _spell_clause(clause: Clause | None) -> Clause | None:
    """Return a clause for providers that also takes the id which price books have for a name in it."""
    if clause is None:
        return None
    if clause.any_of is not None:
        return Clause(any_of=tuple(filter(None, map(_spell_clause, clause.any_of))))
    if clause.all_of is not None:
        return Clause(all_of=tuple(filter(None, map(_spell_clause, clause.all_of))))
    id = None if clause.equals is None else find_provider_id(clause.equals.lower())
    return clause if id is None else Clause(any_of=(clause, Clause(equals=id)))


def _fits(clause: Clause | None, names: tuple[str, ...]) -> bool:
    return clause is None or any(is_match(clause, name) for name in names)


def _reaches(tier: Tier, above: int) -> bool:
    if above < 0:
        return True
    return tier.input_tokens > above if tier.stated is None else tier.stated > 0 and above <= tier.stated


def _to_us(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)
