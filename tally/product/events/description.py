"""Describe the state of an event, and the line at a position by which it was named (pure)."""

from collections.abc import Sequence
from typing import Any

from ledger import outcomes
from tally.log.entry_lines import read_original_position, read_position
from tally.log.event_state import (
    REVERSED,
    Line,
    find_due_time,
    find_last_change,
    format_moment,
    name_state,
)
from tally.product.events.corrections import CorrectionOfEvent, merge_corrections


def describe_state(lines: Sequence[Line], corrections: Sequence[CorrectionOfEvent]) -> dict[str, Any]:
    """Describe the state of an event: ``state``, its ``kind``, the position of the line that decided it, its reason,
    and ``due`` of one that is held."""
    kind = lines[0]["kind"]
    merged = merge_corrections(lines, corrections)
    last = find_last_change(merged) if kind == "inference" else _find_last_outcome(lines)
    state = name_state(last) if kind == "inference" else _name_outcome(last)
    facts: dict[str, Any] = {"state": state, "kind": kind}
    if last is None:
        return facts
    facts["position"] = str(read_position(last))
    if state in (outcomes.HELD, outcomes.QUARANTINED):
        facts |= {name: last[name] for name in ("reason", "detail") if name in last}
    if state == outcomes.HELD:
        facts["due"] = format_moment(find_due_time(last))
    if state == REVERSED:
        facts |= _describe_reversal(last, merged, corrections)
    return facts


def _find_last_outcome(lines: Sequence[Line]) -> Line | None:
    """Find the last line by which an event that has no price counts, or does not."""
    ends = outcomes.COUNTED, outcomes.QUARANTINED, outcomes.HELD, outcomes.RELEASE
    effective = [line for line in lines if line["outcome"] in ends]
    return effective[-1] if effective else None


def _name_outcome(last: Line | None) -> str:
    is_counted = last is None or last["outcome"] == outcomes.RELEASE
    return outcomes.COUNTED if is_counted or last is None else str(last["outcome"])


def _describe_reversal(last: Line, merged: Sequence[Line], corrections: Sequence[CorrectionOfEvent]) -> dict[str, Any]:
    """Name the correction that took an event back, and the time at which one falls due that was held."""
    facts: dict[str, Any] = {}
    for correction in corrections:
        if correction.applied is not None and read_position(correction.applied) == read_position(last):
            facts["correction"] = f"{correction.source}/{correction.id}"
            facts["reason"] = correction.reason
    if last["kind"] == "correction":
        held = [line for line in merged[: list(merged).index(last)] if line["outcome"] == outcomes.HELD]
        facts["due"] = format_moment(find_due_time(held[-1]))
    return facts


def describe_named_line(line: Line) -> dict[str, Any]:
    """Describe the line at the position by which an event was named: its outcome and reason, and the position that it
    names."""
    facts: dict[str, Any] = {"position": str(read_position(line)), "outcome": line["outcome"], "kind": line["kind"]}
    facts |= {name: line[name] for name in ("reason", "detail") if name in line}
    if "original_offset" in line:
        facts["names"] = str(read_original_position(line))
    return facts
