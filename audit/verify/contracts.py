"""Apply contracts independently of the folds, in decimals, from documents as written (docs/rules.md, R16)."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

from audit.verify import unknown_usage
from audit.verify.model_names import is_match
from audit.verify.pricing import Aliases, Book, Line, Rated, rate_call
from ledger.pricing.contract import STANDARD_MODE, Commitment, Contract, Scope, Term, unpack_document
from ledger.pricing.price_book import Clause, PriceBook, Tiered
from ledger.pricing.price_dimensions import normalize_dimension
from ledger.token_classes import CLASSES, CONTRACTED_AS, INPUT_CLASSES, rate_unit
from tallystick.gateways.provider_names import PROVIDER_NAMES

Owner = tuple[str, str, str]
"""Organization, source and id of the event that an entry is of."""
Position = tuple[int, int]
Figure = TypeVar("Figure")


class Signing(NamedTuple):
    """A contract that was signed at a position; no contract where it ended there."""

    position: Position
    name: str
    document: str = ""
    contract: Contract | None = None


class Agreement(NamedTuple):
    """What a contract says of a call."""

    signing: Signing
    contract: Contract
    terms: list[Term]
    commitments: list[Commitment]


def open_document(digest: str, packed: bytes) -> Book | Contract:
    """Read a price book or a contract from the bytes of a document."""
    document = unpack_document(digest, packed)
    return Book(digest, document) if isinstance(document, PriceBook) else document


class Contracts:
    """The contracts of a partition's organizations, and what entries in force use of commitments, on disk."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._signings: defaultdict[str, list[Signing]] = defaultdict(list)
        self._used: Counter[tuple[str, ...]] = Counter()
        self._database = database
        database.execute("CREATE TABLE IF NOT EXISTS covered (owner TEXT PRIMARY KEY, parts TEXT)")

    def dump_state(self) -> dict[str, Any]:
        """Return the signings and what is used, as JSON; what entries use is in the database."""
        return {
            "signings": {
                organization: [signing[:3] for signing in signings] for organization, signings in self._signings.items()
            },
            "used": [[key, amount] for key, amount in self._used.items()],
        }

    def load_state(self, state: dict[str, Any], load: Callable[[str], Contract]) -> None:
        """Go on from a state; ``load`` reads a contract by the hash of its document."""
        for organization, signings in state["signings"].items():
            for (offset, event_index), name, document in signings:
                contract = load(document) if document else None
                self._signings[organization].append(Signing((offset, event_index), name, document, contract))
        self._used = Counter({tuple(key): amount for key, amount in state["used"]})

    def sign(self, organization: str, position: Position, name: str, document: str, contract: Contract) -> None:
        """Put a contract in force."""
        self._signings[organization].append(Signing(position, name, document, contract))

    def end(self, organization: str, position: Position, name: str) -> None:
        """End a contract."""
        self._signings[organization].append(Signing(position, name))

    def release(self, owner: Owner) -> None:
        """Give back what the entry in force of an event uses."""
        for _, used_key, amount in self.read_usage(owner):
            self._used[tuple(used_key)] -= amount
        self._database.execute("DELETE FROM covered WHERE owner = ?", (json.dumps(owner),))

    def rate(
        self,
        data: Mapping[str, Any],
        time: datetime,
        owner: Owner,
        position: Position | None,
        books: Iterable[Book],
        aliases: Aliases,
    ) -> Rated:
        """Price a call. A position is that of an entry before, which is made as it was; without one, commitments are
        used."""
        if position is None and owner[0] in self._signings:
            self.release(owner)
        rated = rate_call(data, time, books, aliases)
        if unknown_usage.is_free(data):
            return rated
        agreement = None
        if owner[0] in self._signings:
            agreement = self._find_agreement(data, time, owner[0], position, rated)
        if agreement is None:
            return rated._replace(lines=[Line(*line[:6], line.list_cost, line.billed_cost) for line in rated.lines])
        has_amounts = agreement.commitments or any(term.rates is not None for term in agreement.terms)
        if has_amounts and rated.currency not in (None, agreement.contract.currency):
            rated = rate_call(data, time, (), aliases)
            if rated.reason == "no price book":
                rated = rated._replace(reason="no list price in the contract's currency")
        return self._apply(rated, data, time, owner, position, agreement)

    def _apply(
        self,
        rated: Rated,
        data: Mapping[str, Any],
        time: datetime,
        owner: Owner,
        position: Position | None,
        agreement: Agreement,
    ) -> Rated:
        listed_lines = _add_requests(rated.lines, data, agreement.terms)
        mean, basis = _find_tier(listed_lines, data)
        former = {name: (tuple(key), amount) for name, key, amount in self.read_usage(owner)} if position else {}
        lines: list[Line] = []
        parts = []
        for line in listed_lines:
            contracted = _contract_line(line, agreement.terms, mean, data.get("context_tier"))
            if contracted is None:
                lines.append(line)
                continue
            effective = billed = contracted
            for commitment in agreement.commitments:
                if commitment.rates and _find_rate(commitment.rates, line.name) is None:
                    continue
                whole = _measure(commitment, line, contracted)
                key = owner[0], agreement.contract.name, *_name_usage(commitment, agreement.contract, time)
                if position is None:
                    is_covered = self._used[key] < _size(commitment)
                    amount = min(whole, _size(commitment) - self._used[key]) if is_covered else 0
                    self._used[key] += amount
                else:
                    former_key, amount = former.get(line.name, ((), 0))
                    is_covered = former_key == key
                if is_covered:
                    parts.append((line.name, key, amount))
                    effective, billed = _split(commitment, line, contracted, whole, amount)
                    break
            lines.append(
                line._replace(
                    contracted_cost=contracted, effective_cost=effective, billed_cost=billed, greatest_cost=None
                )
            )
        if position is None and parts:
            self._database.execute("REPLACE INTO covered VALUES (?, ?)", (json.dumps(owner), json.dumps(parts)))
        has_tiers = any(isinstance(rate, Tiered) for term in agreement.terms for rate in (term.rates or {}).values())
        rated = rated._replace(
            contract_id=f"{agreement.contract.name}@{agreement.signing.document}",
            tier_basis=rated.tier_basis or (basis if has_tiers else None),
        )
        return _describe(rated, listed_lines, lines, agreement.contract.currency)

    def _find_agreement(
        self, data: Mapping[str, Any], time: datetime, organization: str, position: Position | None, rated: Rated
    ) -> Agreement | None:
        if data.get("payer") == "customer":
            return None
        in_force: dict[str, Signing] = {}
        for signing in self._signings.get(organization, ()):
            is_before = position is None or signing.position < position
            if is_before and (signing.contract is not None or signing.name in in_force):
                in_force[signing.name] = signing
        providers = [
            spelling
            for name in _lower(data.get("provider"), rated.seller)
            for part in (name, name.rpartition(".")[0], name.split(".")[0])
            for spelling in _spell_provider(part)
        ]
        models = _lower(data.get("model_resolved") or data.get("model"), rated.model)
        for signing in reversed(in_force.values()):
            contract = signing.contract
            if contract is None or not _is_valid(contract, time) or not _fits_provider(contract.provider, providers):
                continue

            def is_in_scope(scope: Scope) -> bool:
                return _fits_provider(scope.provider, providers) and _fits(scope.model, models)

            terms = [term for term in contract.terms if is_in_scope(term) and _has_mode(term, data)]
            commitments = [commitment for commitment in contract.commitments if is_in_scope(commitment)]
            if terms or commitments:
                return Agreement(signing, contract, terms, commitments)
        return None

    def read_usage(self, owner: Owner) -> list[Any]:
        """Return what the entry in force of an event uses: class, what it uses, and how much of it."""
        row = self._database.execute("SELECT parts FROM covered WHERE owner = ?", (json.dumps(owner),)).fetchone()
        return json.loads(row[0]) if row else []


def _is_valid(contract: Contract, time: datetime) -> bool:
    return (contract.since is None or contract.since <= time) and (contract.until is None or time < contract.until)


def _lower(*names: str | None) -> list[str]:
    return [name.lower() for name in names if name]


def _fits(clause: Clause | None, names: list[str]) -> bool:
    return clause is None or any(is_match(clause, name) for name in names)


def _fits_provider(clause: Clause | None, names: list[str]) -> bool:
    return clause is None or any(_is_provider(clause, name) for name in names)


def _is_provider(clause: Clause, name: str) -> bool:
    if clause.any_of is not None:
        return any(_is_provider(part, name) for part in clause.any_of)
    if clause.all_of is not None:
        return all(_is_provider(part, name) for part in clause.all_of)
    return name in _spell_provider(clause.equals.lower()) if clause.equals is not None else is_match(clause, name)


def _spell_provider(name: str) -> list[str]:
    """Return a provider's name and its id in price books; nothing of an empty name."""
    return [name, *(id for id, aliases in PROVIDER_NAMES.items() if name in aliases)] if name else []


def _has_mode(term: Term, data: Mapping[str, Any]) -> bool:
    for field in ("service_tier", "speed", "geography"):
        mode, clause = normalize_dimension(field, data.get(field)) or STANDARD_MODE, getattr(term, field)
        if clause is not None and not is_match(clause, mode):
            return False
        if clause is None and term.rates is not None and mode != STANDARD_MODE:
            return False
    return True


def _add_requests(lines: list[Line], data: Mapping[str, Any], terms: list[Term]) -> list[Line]:
    names = [line.name for line in lines]
    if "requests" in names or not any("requests" in (term.rates or {}) for term in terms):
        return lines
    lines = [*lines, Line("requests", data.get("calls") or 1, None, None, None)]
    return sorted(lines, key=lambda line: CLASSES.index(line.name))


def _find_tier(lines: list[Line], data: Mapping[str, Any]) -> tuple[Fraction, str]:
    """Return the input tokens of a call, of several their mean, and what tells the tier."""
    calls = data.get("calls") or 1
    if data.get("context_tier") is not None:
        return Fraction(0), "stated"
    if data.get("calls") is None and data.get("period_s"):
        return Fraction(0), "assumed"
    input_tokens = sum(line.quantity for line in lines if line.name in INPUT_CLASSES)
    return Fraction(input_tokens, calls), "mean" if calls > 1 else "event"


def _contract_line(line: Line, terms: list[Term], mean: Fraction, stated: int | None) -> Decimal | None:
    for term in terms:
        rate = _find_rate(term.rates or {}, line.name)
        if rate is not None:
            if isinstance(rate, Tiered):
                tiers = [
                    tier.rate
                    for tier in rate.tiers
                    if (mean > tier.above if stated is None else stated > 0 and tier.above <= stated)
                ]
                rate = tiers[-1] if tiers else rate.base
            return line.quantity * rate / rate_unit(line.name)
        is_listed = term.discount is not None and line.list_cost is not None
        if is_listed and (term.classes is None or line.name in term.classes):
            return _reduce(line.list_cost, term.discount)
    return line.list_cost


def _find_rate(rates: Mapping[str, Figure], name: str) -> Figure | None:
    """Return the rate of a class: its own, or the first of those whose rate it takes."""
    return next((rates[source] for source in (name, *CONTRACTED_AS.get(name, ())) if source in rates), None)


def _take_rate(commitment: Commitment, line: Line) -> Decimal:
    rate = _find_rate(commitment.rates, line.name)
    assert rate is not None, "the commitment covers the class"
    return rate


def _reduce(cost: Decimal | None, percent: Decimal | None) -> Decimal:
    assert cost is not None and percent is not None, "it is listed, and the term is a discount"
    return _round(Fraction(cost) * (100 - Fraction(percent)) / 100)


def _round(amount: Fraction) -> Decimal:
    """Round an amount to 10^-12, half to even."""
    return Decimal(round(amount * 10**12)) / 10**12


def _size(commitment: Commitment) -> int:
    """Return the size of a commitment: units, or an amount in 10^-12."""
    return commitment.units if commitment.amount is None else int(commitment.amount * 10**12)  # type: ignore[return-value]


def _measure(commitment: Commitment, line: Line, contracted: Decimal) -> int:
    """Return how much of the commitment a line uses that is covered whole: units, or 10^-12."""
    if commitment.units is not None:
        return line.quantity
    if commitment.rates:
        return int(line.quantity * _take_rate(commitment, line) / rate_unit(line.name) * 10**12)
    cost = contracted if commitment.discount is None else _reduce(contracted, commitment.discount)
    return int(cost * 10**12)


def _split(
    commitment: Commitment, line: Line, contracted: Decimal, whole: int, covered: int
) -> tuple[Decimal, Decimal]:
    """Return the effective and the billed cost of a line of which so much is covered."""
    billed = contracted - _round(Fraction(contracted) * covered / whole) if whole else Decimal(0)
    if commitment.units is None:
        return Decimal(covered) / 10**12 + billed, billed
    return covered * _take_rate(commitment, line) / rate_unit(line.name) + billed, billed


def _name_usage(commitment: Commitment, contract: Contract, time: datetime) -> tuple[str, ...]:
    """Name what a commitment's usage is kept by, beside its organization and its contract."""
    size = ("units", "") if commitment.amount is None else ("amount", contract.currency)
    return commitment.name, commitment.period, _find_period(commitment.period, time), *size


def _find_period(period: str, time: datetime) -> str:
    """Return the name of the period of a moment in UTC."""
    form = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y", "contract": ""}[period]
    return time.strftime(form)


def _describe(rated: Rated, listed_lines: list[Line], lines: list[Line], currency: str) -> Rated:
    """Describe how much of a call is priced by its contract."""
    priced = [line for line in lines if line.contracted_cost is not None]
    rated = rated._replace(lines=lines, currency=rated.currency or (currency if priced else None))
    unpriced_bounds = [line.greatest_cost for line in lines if line.contracted_cost is None]
    if rated.pricing == "unknown":
        bound = rated.greatest_cost
        for line, listed in zip(lines, listed_lines, strict=True):
            if bound is not None and line.contracted_cost is not None:
                bound -= listed.greatest_cost or 0
        return rated._replace(greatest_cost=bound)
    if not unpriced_bounds:
        return rated._replace(pricing="priced" if lines else "free", reason=None, greatest_cost=None)
    total = None if None in unpriced_bounds else sum((bound for bound in unpriced_bounds if bound), Decimal(0))
    if not priced:
        return rated._replace(greatest_cost=total)
    return rated._replace(pricing="partially_priced", reason="no rate for a class", greatest_cost=total)
