"""Adopt rules of runaways: the document first, then the record that names it, in the order of its organization."""

from typing import NamedTuple

from ingest.controls.append import append_control
from ingest.controls.decisions import find_decisions
from ledger.log import Log, Position
from ledger.log.documents import load_document, store_document
from ledger.runaway_rules import NAME, RunawayRules, pack_rules, unpack_rules
from ledger.settings import Settings
from tallystick.vocabulary.controls.alerts import RulesAdopted


class Adoption(NamedTuple):
    """Rules in force: their document, and the position of the record that adopted it."""

    rules: RunawayRules
    document: str
    position: Position


class AdoptionResult(NamedTuple):
    """An adoption. ``new`` is False for rules that are in force as they are, and are not adopted again."""

    adoption: Adoption
    new: bool


def adopt_rules(
    log: Log, settings: Settings, organization: str, rules: RunawayRules, reason: str | None = None
) -> AdoptionResult:
    """Judge the organization's calls by these rules from here on."""
    document, packed = pack_rules(rules)
    in_force = find_rules(log, organization)
    if in_force is not None and in_force.document == document:
        return AdoptionResult(in_force, new=False)
    store_document(log, document, packed)
    body = {"name": NAME, "document": document}
    position = append_control(log, settings, RulesAdopted.control_type, body, organization=organization, reason=reason)
    return AdoptionResult(Adoption(rules, document, position), new=True)


def find_rules(log: Log, organization: str) -> Adoption | None:
    """Return the rules in force; None where the organization adopted none, and has the default."""
    in_force = None
    for position, body in find_decisions(log, organization, (RulesAdopted.control_type,)):
        packed = load_document(log, body["document"]) if body["name"] == NAME else None
        rules = None if packed is None else unpack_rules(body["document"], packed)
        if rules is not None:
            in_force = Adoption(rules, body["document"], position)
    return in_force
