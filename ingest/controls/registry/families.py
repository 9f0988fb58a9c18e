"""The families of the registry's control records: the subject that each speaks of, and what it says of it. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tallystick.vocabulary.controls.agreements import AgreementDeclared, AgreementEnded
from tallystick.vocabulary.controls.body import ControlBody
from tallystick.vocabulary.controls.exchange_rates import ExchangeRateSet
from tallystick.vocabulary.controls.scopes import ScopeAssigned, ScopeDeclared, ScopeEnded

State = Mapping[str, Any]
"""What holds of a subject: the fields of its record, without those that name it."""


class Family(NamedTuple):
    """A family: the model that states something of a subject, the one that ends it, and the fields that name it. Where
    both are one model, a record ends its subject that has no field but these."""

    name: str
    declared: type[ControlBody]
    ended: type[ControlBody]
    subject_fields: tuple[str, ...]


SCOPE = Family("scope", ScopeDeclared, ScopeEnded, ("dimension", "scope"))
ASSIGNMENT = Family("assignment", ScopeAssigned, ScopeAssigned, ("dimension", "scope"))
AGREEMENT = Family("agreement", AgreementDeclared, AgreementEnded, ("agreement",))
EXCHANGE_RATE = Family("exchange rate", ExchangeRateSet, ExchangeRateSet, ("base_currency", "quote_currency"))
FAMILIES = (SCOPE, ASSIGNMENT, AGREEMENT, EXCHANGE_RATE)
_BY_TYPE = {model.control_type: family for family in FAMILIES for model in (family.declared, family.ended)}
CONTROL_TYPES = tuple(_BY_TYPE)
PERSON_FIELDS = ("owner", "sponsor", "on_call")


class Subject(NamedTuple):
    """A subject of the registry: its family, and its names in it."""

    family: str
    names: tuple[str, ...]


def read_statement(control_type: str, body: Mapping[str, Any]) -> tuple[Subject, State | None]:
    """Read a record's subject, and what it says of it; None where it ends it."""
    family = _BY_TYPE[control_type]
    subject = Subject(family.name, tuple(body[field] for field in family.subject_fields))
    state = {name: value for name, value in body.items() if name not in family.subject_fields}
    is_end = control_type == family.ended.control_type and (family.ended is not family.declared or not state)
    return subject, None if is_end else state


def write_statement(subject: Subject, state: State | None) -> tuple[str, dict[str, Any]]:
    """Write the type and the body of the record that says this of a subject."""
    family = next(family for family in FAMILIES if family.name == subject.family)
    model = family.ended if state is None else family.declared
    return model.control_type, {**dict(zip(family.subject_fields, subject.names, strict=True)), **(state or {})}
