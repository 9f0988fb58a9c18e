"""Find every correction of an event on the log, and its effect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ledger import outcomes
from ledger.log import Log, Position, fold_offset, records, seek_cause
from ledger.log.topics import DECISIONS, ENTRIES, EVENTS
from streams.folds.emit import write_index
from streams.folds.event import Event, parse_record
from tally.log.entry_lines import find_event_line, read_caused_lines, read_original_position, read_position
from tally.log.event_state import find_due_time, format_moment

_CORRECTION = b"tallystick.correction.v1"
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True)
class CorrectionOfEvent:
    """A correction of an event: what it asks for, the line that says its outcome, and where it applied; None where it
    did not. ``obstacle`` is the reason why it changed nothing."""

    source: str
    id: str
    action: str
    reason: str
    outcome: Mapping[str, Any]
    applied: Mapping[str, Any] | None
    obstacle: str | None

    def is_effective(self) -> bool:
        """Tell whether it changed what the event counts as."""
        return self.applied is not None and self.obstacle is None

    def as_json(self) -> dict[str, Any]:
        """Return the correction with its position, its outcome and its effect."""
        return {
            "position": str(read_position(self.outcome)), "source": self.source, "id": self.id, "action": self.action,
            "reason": self.reason, "outcome": self.outcome["outcome"], "is_effective": self.is_effective(),
            "applied_at": None if self.applied is None else str(read_position(self.applied)),
            "effect": self._describe_effect(),
        }  # fmt: skip

    def _describe_effect(self) -> str:
        outcome = self.outcome["outcome"]
        if self.applied is not None:
            place = "" if outcome == outcomes.COUNTED else f" when it fell due, at {read_position(self.applied)}"
            return f"applied{place}" if self.obstacle is None else f"changed nothing{place}: {self.obstacle}"
        if outcome == outcomes.HELD:
            return f"held: it applies when the log's time reaches {format_moment(find_due_time(self.outcome))}"
        detail = self.outcome.get("detail") or self.outcome.get("reason")
        return f"changed nothing: it is {outcome}" + (f" ({detail})" if detail else "")


def find_corrections(log: Log, partition: int, organization: str, source: str, id: str) -> list[CorrectionOfEvent]:
    """Find the corrections that name an event and that the folds have reached, in order."""
    needle = msgspec.json.encode(id)[1:-1]
    corrections: list[CorrectionOfEvent] = []
    for record in records(log, EVENTS, partition, 0, fold_offset(log, partition)):
        if _CORRECTION not in record.value or needle not in record.value or record.organization != organization:
            continue
        for event in parse_record(record).events:
            if event.kind == "correction" and event.data.get("of") == {"source": source, "id": id}:
                corrections.append(_follow(log, event, Position(partition, record.offset, event.event_index)))
    return corrections


def _follow(log: Log, correction: Event, position: Position) -> CorrectionOfEvent:
    """Read what became of a correction."""
    outcome = find_event_line(log, position)
    assert outcome is not None, "the folds have passed it"
    applied: Mapping[str, Any] | None = outcome if outcome["outcome"] == outcomes.COUNTED else None
    if outcome["outcome"] == outcomes.HELD:
        applied = _find_release(log, position)
    return CorrectionOfEvent(
        correction.source, correction.id, str(correction.data.get("action")), str(correction.data.get("reason")),
        outcome, applied, None if applied is None else _find_obstacle(log, correction, applied),
    )  # fmt: skip


def _find_release(log: Log, position: Position) -> Mapping[str, Any] | None:
    """Find the line by which a held event fell due; None where it is held still."""
    mark = b'"original_offset":%d,"original_index":%d' % (position.offset, position.event_index)
    start = seek_cause(log, ENTRIES, position.partition, position.offset)
    for record in records(log, ENTRIES, position.partition, start):
        if mark not in record.value:
            continue
        for line in record.value.split(b"\n"):
            content: dict[str, Any] = _decode(line) if mark in line else {}
            if content.get("outcome") == outcomes.RELEASE and read_original_position(content) == position:
                return content
    return None


def _find_obstacle(log: Log, correction: Event, applied: Mapping[str, Any]) -> str | None:
    """Find the reason of the decision that a correction had no effect where it applied; None where it had one."""
    for decision in read_caused_lines(log, DECISIONS, applied["partition"], applied["offset"]):
        is_own = (decision.get("event_source"), decision.get("event_id")) == (correction.source, correction.id)
        is_here = write_index(decision["event_index"]) == applied["event_index"]
        if decision["decision"] == "correction.ineffective" and is_own and is_here:
            return str(decision["reason"])
    return None


def merge_corrections(
    lines: Sequence[Mapping[str, Any]], corrections: Sequence[CorrectionOfEvent]
) -> list[Mapping[str, Any]]:
    """Merge an event's lines and the places where corrections applied to it, in the order of the log."""
    applied = [
        {**correction.applied, "action": correction.action}
        for correction in corrections
        if correction.applied is not None and correction.is_effective()
    ]
    return sorted([*lines, *applied], key=lambda line: (line["offset"], line["seq"]))
