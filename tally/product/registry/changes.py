"""Changes of the registry, for people and for programs."""

from collections import Counter
from datetime import datetime
from typing import Any

from ingest.controls.registry.families import AGREEMENT, ASSIGNMENT, SCOPE, State, Subject
from ingest.controls.registry.plan import Change
from ingest.controls.registry.records import Plan

_SIGNS = {"add": "+", "change": "~", "end": "-"}
_KINDS = {"provider_account": "account"}


def name_kind(subject: Subject) -> str:
    """Name the kind of a subject: team, key, agreement, exchange rate."""
    if subject.family in (SCOPE.name, ASSIGNMENT.name):
        return _KINDS.get(subject.names[0], subject.names[0])
    return subject.family


def name_subject(subject: Subject) -> str:
    """Name a subject in its kind."""
    if subject.family in (SCOPE.name, ASSIGNMENT.name):
        return subject.names[1]
    return subject.names[0] if subject.family == AGREEMENT.name else "/".join(subject.names)


def format_time(moment: datetime) -> str:
    """Write a moment of UTC; midnight as its day."""
    return moment.isoformat().replace("+00:00", "Z").removesuffix("T00:00:00Z")


def list_changes(plan: Plan) -> list[dict[str, Any]]:
    """List the changes for programs. Persons are pseudonyms, as on the log."""
    return [
        {
            "change": change.action,
            "record": change.subject.family,
            "kind": name_kind(change.subject),
            "name": name_subject(change.subject),
            "effective_at": change.effective_at.isoformat(),
            "before": change.before,
            "after": change.after,
        }
        for change in plan.changes
    ]


def count_changes(plan: Plan) -> dict[str, int]:
    """Count additions, changes and ends."""
    counts = Counter[str](change.action for change in plan.changes)
    return {action: counts[action] for action in _SIGNS}


def describe_changes(plan: Plan) -> list[str]:
    """Describe each change in a line, with the names of persons where the home knows them."""
    return [_describe_change(change, plan) for change in plan.changes]


def _describe_change(change: Change, plan: Plan) -> str:
    before, after = change.before or {}, change.after or {}
    start = "now" if change.effective_at == plan.time else format_time(change.effective_at)
    head = f"{_SIGNS[change.action]} {name_kind(change.subject)} {name_subject(change.subject)}"
    if change.action == "end":
        details = _describe_state(before, plan.names)
        return f"{head} ends, from {start}" + (f" ({details})" if details else "")
    if change.action == "add":
        details = _describe_state(after, plan.names)
    else:
        fields = [field for field in dict.fromkeys((*before, *after)) if before.get(field) != after.get(field)]
        details = ", ".join(
            f"{field} {_show(before.get(field), plan.names)} -> {_show(after.get(field), plan.names)}"
            for field in fields
        )
    return f"{head}: {details + ', ' if details else ''}from {start}"


def _describe_state(state: State, names: dict[str, str]) -> str:
    return ", ".join(f"{field} {_show(value, names)}" for field, value in state.items())


def _show(value: Any, names: dict[str, str]) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return " ".join(value) or "none"
    return names.get(str(value), str(value))
