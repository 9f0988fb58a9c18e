"""Contract documents: what an organization agreed on with its providers. How a call is priced by one is a rule
(docs/rules.md), not here."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from ledger.pricing.document import build_damage_error, pack, unpack
from ledger.pricing.price_book import Clause, PriceBook, Rate, Tiered, check_rates
from ledger.pricing.price_dimensions import normalize_dimension
from ledger.token_classes import CLASSES
from tallystick.vocabulary.base import Currency, DecimalInput, Label, Model, Name, PositiveAmount, Time, format_decimal

STANDARD_MODE = "standard"
"""The word for the base price of each price dimension: a negotiated rate that names none is for it."""
PERCENT_DECIMALS = 6
Period = Literal["hour", "day", "month", "year", "contract"]


def _read_clause(value: Any) -> Any:
    """Read a clause of a name alone, or of a list of them, as one that equals it."""
    if isinstance(value, str):
        return {"equals": value}
    return {"any_of": [_read_clause(part) for part in value]} if isinstance(value, list) else value


def _check_clause(clause: Clause) -> Clause:
    """Refuse a clause that no name fits, or that each does, because it says nothing."""
    _change_texts(clause, _check_text)
    return clause


def _check_text(text: str) -> str:
    if not text.strip():
        raise ValueError("a clause has a text: leave the whole clause out where it is for every name")
    return text


def _change_texts(clause: Clause, change: Callable[[str], str], *, with_regexes: bool = True) -> Clause:
    """Return a clause with each of its texts changed. ValueError where it has no parts."""
    ((kind, value),) = ((kind, value) for kind, value in clause if value is not None)
    if isinstance(value, str):
        return Clause.model_validate({kind: value if kind == "regex" and not with_regexes else change(value)})
    if not value:
        raise ValueError("a clause has at least one part: leave it out where it is for every name")
    return Clause.model_validate(
        {kind: tuple(_change_texts(part, change, with_regexes=with_regexes) for part in value)}
    )


def _spell_modes(name: str) -> Callable[[Clause], Clause]:
    """Return what writes a clause for a price dimension in the spelling of price books. Regular expressions stay."""

    def spell(text: str) -> str:
        return normalize_dimension(name, text) or STANDARD_MODE

    return lambda clause: _change_texts(clause, spell, with_regexes=False)


def _check_classes(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in CLASSES:
            raise ValueError(f"{name!r} is not one of the classes {', '.join(CLASSES)}")
    return names


def _refuse_hourly_rate(rate: Any) -> Any:
    if isinstance(rate, dict) and "per_hour" in rate:
        raise ValueError("a contract has no rates per hour: write the rate of a thousand seconds, without `per_hour`")
    return rate


def _check_contract_rates(rates: dict[str, Decimal | Tiered]) -> dict[str, Decimal | Tiered]:
    check_rates(dict(rates))
    return dict(sorted(rates.items()))


def _check_flat_rates(rates: dict[str, Decimal]) -> dict[str, Decimal]:
    check_rates(dict(rates))
    return dict(sorted(rates.items()))


Match = Annotated[Clause, BeforeValidator(_read_clause), AfterValidator(_check_clause)]
ServiceTierMatch = Annotated[Match, AfterValidator(_spell_modes("service_tier"))]
SpeedMatch = Annotated[Match, AfterValidator(_spell_modes("speed"))]
GeographyMatch = Annotated[Match, AfterValidator(_spell_modes("geography"))]
Percent = Annotated[
    Decimal, DecimalInput, Field(ge=0, le=100, decimal_places=PERCENT_DECIMALS, strict=False),
    PlainSerializer(format_decimal, return_type=str),
]  # fmt: skip
ContractRates = Annotated[
    dict[Name, Annotated[Rate | Tiered, BeforeValidator(_refuse_hourly_rate)]], AfterValidator(_check_contract_rates)
]
FlatRates = Annotated[
    dict[Name, Annotated[Rate, BeforeValidator(_refuse_hourly_rate)]], AfterValidator(_check_flat_rates)
]


class Scope(Model):
    """The calls that a part of a contract is for. A clause that is absent fits every call."""

    provider: Match | None = Field(default=None, description="the provider by which a call is priced, or that it names")
    model: Match | None = Field(default=None, description="the model by which a call is priced, or that it names")


class Term(Scope):
    """A discount on the list price, or negotiated rates in its place."""

    service_tier: ServiceTierMatch | None = None
    speed: SpeedMatch | None = None
    geography: GeographyMatch | None = None
    classes: Annotated[tuple[Name, ...], Field(strict=False, min_length=1), AfterValidator(_check_classes)] | None = (
        Field(default=None, description="classes that a discount is for; left out, all")
    )
    discount: Percent | None = Field(default=None, description="percent off the list price")
    rates: ContractRates | None = Field(default=None, description="negotiated rates, for the classes that they name")

    @model_validator(mode="after")
    def _check_one_kind(self) -> "Term":
        if (self.discount is None) == (self.rates is None):
            raise ValueError("a term has either a discount or rates")
        if self.rates is not None and self.classes is not None:
            raise ValueError("rates name their classes: leave out 'classes'")
        if self.rates is not None and not self.rates:
            raise ValueError("rates name at least one class")
        return self


class Commitment(Scope):
    """Capacity or spend that is paid for in advance, by period."""

    name: Label
    period: Period = Field(description="by the calendar in UTC, or the whole contract")
    units: Annotated[int, Field(ge=1, le=10**18)] | None = Field(
        default=None, description="tokens, or other quantities, of the classes that have a rate"
    )
    amount: PositiveAmount | None = Field(default=None, description="spend in the contract's currency")
    rates: FlatRates = Field(
        default={}, description="effective rates: the commitment's cost for a million units (a thousand of no tokens)"
    )
    discount: Percent | None = Field(default=None, description="percent off the contracted cost of committed spend")

    @model_validator(mode="after")
    def _check_one_kind(self) -> "Commitment":
        if (self.units is None) == (self.amount is None):
            raise ValueError("a commitment has either units or an amount")
        if self.units is not None and not self.rates:
            raise ValueError("a commitment of units has the effective rates of its classes")
        if self.rates and self.discount is not None:
            raise ValueError("a commitment has either rates or a discount")
        return self


class Contract(Model):
    """An agreement of one organization. A later one of the same name replaces it."""

    kind: Literal["contract"] = "contract"
    version: Literal[1] = 1
    name: Label
    currency: Currency
    provider: Match | None = Field(default=None, description="the provider that it is with; left out, any")
    since: Time | None = Field(default=None, description="first moment at which it holds, by event time")
    until: Time | None = Field(default=None, description="first moment at which it no longer holds, by event time")
    terms: Annotated[tuple[Term, ...], Field(strict=False)] = Field(
        default=(), description="the first that gives a class a price decides"
    )
    commitments: Annotated[tuple[Commitment, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _check_parts(self) -> "Contract":
        if not self.terms and not self.commitments:
            raise ValueError("a contract has at least one of 'terms' and 'commitments'")
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise ValueError("'until' is after 'since'")
        names = [commitment.name for commitment in self.commitments]
        if len(set(names)) < len(names):
            raise ValueError("each commitment has a name of its own")
        return self


def list_texts(contract: Contract) -> Iterable[str]:
    """Return the names that people gave to a contract and its commitments."""
    return chain([contract.name], (commitment.name for commitment in contract.commitments))


def pack_contract(contract: Contract) -> tuple[str, bytes]:
    """Return the document's hash and its compressed bytes, as they go onto the log."""
    return pack(contract.canonical(), f"contract {contract.name!r}", "split it into contracts of different names")


def unpack_document(digest: str, packed: bytes) -> PriceBook | Contract:
    """Read a price book or a contract of a document's bytes. LogDamaged where they are not those of this hash."""
    try:
        content = unpack(digest, packed)
        model = Contract if content.startswith(b'{"kind":"contract"') else PriceBook
        return model.model_validate_json(content)
    except ValueError as error:
        raise build_damage_error(digest, error) from error
