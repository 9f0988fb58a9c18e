"""The state of an event by its lines on ``tally.entries``: counted, held, quarantined or taken back (pure)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger import outcomes
from streams.folds.event import EPOCH
from streams.folds.identity import MAX_AHEAD_US

Line = Mapping[str, Any]
_WITHOUT_EFFECT = outcomes.DUPLICATE, outcomes.CONFLICT
REVERSED = "reversed"


def find_last_change(lines: Sequence[Line]) -> Line | None:
    """Find the last of an event's lines that changes whether it counts, or as what. Lines of its corrections have their
    ``action``.

    The reversal of a held event has no line but its own, and what falls due afterwards has no entry. The reversal by a
    revision stands behind the line of that revision, which is the change."""
    last: Line | None = None
    for line in lines:
        if _is_change(line, last):
            last = line
    return last


def _is_change(line: Line, last: Line | None) -> bool:
    outcome = line["outcome"]
    if line["kind"] == "correction":
        is_applied = outcome in (outcomes.COUNTED, outcomes.RELEASE)
        is_held = last is not None and last["outcome"] == outcomes.HELD
        return is_applied and is_held and line.get("action") == outcomes.REVERSAL
    if outcome == outcomes.REVERSAL:
        return bool(line.get("reason") != outcomes.REVISION)
    return outcome not in _WITHOUT_EFFECT and (outcome != outcomes.RELEASE or "pricing" in line)


def name_state(last: Line | None) -> str:
    """Name the state of an event by the last line that changes it: ``counted``, ``held``, ``quarantined`` or
    ``reversed``."""
    if last is None:
        return outcomes.COUNTED
    if last["outcome"] in (outcomes.HELD, outcomes.QUARANTINED):
        return str(last["outcome"])
    is_reversed = last["kind"] == "correction" or last.get("reason") == outcomes.REVERSAL
    return REVERSED if is_reversed else outcomes.COUNTED


def find_due_time(line: Line) -> datetime:
    """Return the time of the log at which a held event falls due."""
    due: datetime = EPOCH + timedelta(microseconds=line["time_us"] - MAX_AHEAD_US)
    return due.astimezone(UTC)


def format_moment(moment: datetime) -> str:
    """Write a time of the log, to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
