"""The rules by which runaways are found: those that an organization adopted last, or the default."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from ledger.money import PICO
from ledger.runaway_rules import NAME, RunawayRules
from streams.folds.emit import Emit
from streams.folds.entry import Documents
from streams.folds.event import Event
from streams.folds.state import State
from tallystick.vocabulary.controls.alerts import RulesAdopted


class Rules(NamedTuple):
    """The threshold of each detector that is on, and the loss in pico above which a runaway is a page."""

    thresholds: Mapping[str, int]
    max_loss: int


def adopt_rules(event: Event, state: State, documents: Documents, emit: Emit) -> None:
    """Apply ``rules.adopted``: what comes after it is judged by the document, what was told stays as it is."""
    body = event.data["body"]
    rules = documents(body["document"])  # a missing document stops the fold here
    reason = None
    if body["name"] != NAME:
        reason = f"no detector reads rules of the name {body['name']!r}: adopt them as {NAME!r}"
    elif not isinstance(rules, RunawayRules):
        reason = "the document has no rules of runaways: adopt one with `tally runaways adopt`"
    else:
        put_rules(event.organization, rules, state)
    decision, facts = ("control.applied", {}) if reason is None else ("control.ineffective", {"reason": reason})
    emit.decision(
        event.organization, decision, control_type=RulesAdopted.control_type, event_source=event.source,
        event_id=event.id, **facts,
    )  # fmt: skip


def put_rules(organization: str, rules: RunawayRules, state: State) -> None:
    """Put rules in force from here on."""
    state.put((NAME, organization), rules.canonical().decode())


def load_rules(organization: str, state: State) -> Rules:
    """Return the rules in force."""
    return _compile_rules(state.get((NAME, organization)))


@lru_cache(maxsize=1_000)
def _compile_rules(document: str | None) -> Rules:
    rules = RunawayRules() if document is None else RunawayRules.model_validate_json(document)
    thresholds = {name: threshold for name, threshold in rules.detectors if threshold}
    return Rules(thresholds, int(rules.page_above * PICO))
