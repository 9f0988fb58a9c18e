"""Decisions on rights: what the log makes them, beside what the topic says."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ledger.log import Record
from ledger.log.topics import DECISIONS

CONTROLS = ("budget.", "grant.")
NAMES = frozenset({
    "threshold.crossed", "threshold.rearmed", "unknown_usage.raised", "unknown_usage.resolved",
    "grant.crossed", "grant.rearmed",
    "admission.decided", "admission.released", "admission.settled", "admission.expired",
    "lease.granted", "lease.refused", "lease.returned", "lease.expired",
})  # fmt: skip
"""The decisions that are recomputed, beside ``control.applied`` and ``control.ineffective`` of budgets and grants."""
_FRAME = ("partition", "offset", "seq", "accepted_ms", "organization", "event_index", "decision")
_SUBJECT = ("control_type", "dimension", "scope", "window_s", "grant", "limit", "admission", "lease")
"""Fields that tell decisions of one event apart."""
_PROSE = {"control.applied": "reason", "control.ineffective": "reason", "admission.decided": "detail"}
"""Sentences for people, which no rule defines."""


class Cause(NamedTuple):
    """The event that a decision follows from; time alone has no source and no id, and the index -1."""

    organization: str
    event_index: int = -1
    source: str | None = None
    id: str | None = None

    def decide(self, name: str, **fields: Any) -> "Decision":
        """Make a decision that names this cause."""
        if self.source is not None:
            fields |= {"event_source": self.source, "event_id": self.id}
        return Decision(self.organization, self.event_index, name, fields)


class Decision(NamedTuple):
    """A decision, with its columns and what its body says as one set of fields."""

    organization: str
    event_index: int
    name: str
    fields: Mapping[str, Any]

    @property
    def identity(self) -> tuple[str, ...]:
        """Return what the decision is of. One that time makes has no event."""
        event_index = "" if "due_us" in self.fields or self.name == "grant.rearmed" else str(self.event_index)
        fields = self.fields if self.name.partition(".")[0] in ("threshold", "unknown_usage", "grant") else {}
        subject = [str(fields.get(name, "")) for name in _SUBJECT]
        if "due_us" in self.fields and self.name != "grant.rearmed":
            subject.append(str(self.fields["due_us"]))
        return self.organization, self.name, event_index, *subject


def is_recomputed(name: str, control_type: str | None) -> bool:
    """Tell whether the audit recomputes decisions of a name."""
    return name in NAMES or (name.startswith("control.") and (control_type or "").startswith(CONTROLS))


def read_decisions(record: Record) -> list[Decision]:
    """Read the decisions of a record of ``tally.decisions`` that are recomputed."""
    decisions = []
    for line in record.value.split(b"\n"):
        fields = json.loads(line)
        name = fields["decision"]
        if not is_recomputed(name, fields.get("control_type")):
            continue
        organization, event_index = fields["organization"], fields["event_index"]
        if "body" in fields:
            body = json.loads(fields.pop("body"))
            fields |= {"body": body} if name == "control.applied" else _read_body(body, fields)
        decisions.append(Decision(organization, event_index, name, _drop_prose(name, fields)))
    return decisions


def _read_body(body: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields of a body. One that repeats a column, and says something else, is a field of its own."""
    return {field if columns.get(field, value) == value else f"body.{field}": value for field, value in body.items()}


def _drop_prose(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    left_out = (*_FRAME, _PROSE.get(name), "due_us" if name == "grant.rearmed" else None)
    return {field: value for field, value in fields.items() if field not in left_out}


def list_differences(
    record: Record, recomputed: list[Decision], topic_decisions: list[Decision]
) -> Iterator[dict[str, Any]]:
    """Yield what differs between the decisions that a record makes and those that the topic has of it."""
    pairs: defaultdict[tuple[str, ...], tuple[list[Decision], list[Decision]]] = defaultdict(lambda: ([], []))
    for decision in recomputed:
        pairs[decision.identity][0].append(decision)
    for decision in topic_decisions:
        pairs[decision.identity][1].append(decision)
    for log_side, topic_side in pairs.values():
        for decision, topic_decision in zip(log_side, topic_side, strict=False):
            for field in sorted({*decision.fields, *topic_decision.fields}):
                value, topic_value = _write(decision, field), _write(topic_decision, field)
                if value != topic_value:
                    yield _describe(record, decision, value, topic_value, field)
        for decision in log_side[len(topic_side) :]:
            yield _describe(record, decision, "stands", "missing")
        for decision in topic_side[len(log_side) :]:
            yield _describe(record, decision, "none", "stands")


def _write(decision: Decision, field: str) -> str:
    return json.dumps(decision.fields.get(field), sort_keys=True)


def _describe(record: Record, decision: Decision, value: str, topic_value: str, field: str = "") -> dict[str, Any]:
    subject = {name: str(decision.fields[name]) for name in _SUBJECT if name in decision.fields and name != field}
    place = {
        "topic": DECISIONS.name, "organization": decision.organization, "partition": str(record.partition),
        "offset": str(record.offset), "event_index": str(decision.event_index), **subject, "field": field,
    }  # fmt: skip
    way_out = (
        "derive everything again from the log (`tally rebuild`); where it differs again, the folds and the audit read "
        "the rules apart: report it"
    )
    return {
        "what": f"decision {decision.name}", "where": place, "log": value, "topic": topic_value, "warehouse": "",
        "way_out": way_out,
    }  # fmt: skip
