"""Collect what the folds emit: lines of the derived topics, each naming its cause."""

from typing import Any

from ledger.log import Record

FIRST_DUE_INDEX = -(1 << 31)
"""The index of the first event that falls due with a record. What falls due is folded before the record's own lines."""


def write_index(event_index: int) -> int:
    """Write an index as a column without a sign holds it: one that fell due gets 2^31 and more."""
    return event_index & 0xFFFF_FFFF


class Emit:
    """The decisions and alerts that one record causes, in order."""

    def __init__(self, record: Record, now_ms: int) -> None:
        self.now_us = now_ms * 1000
        self.event_index = -1
        self.due_count = 0
        self.decisions: list[dict[str, Any]] = []
        self.alerts: list[dict[str, Any]] = []
        self._offset = record.offset
        self._partition = record.partition
        self._accepted_ms = record.time_ms

    def decision(self, organization: str, decision: str, **facts: Any) -> None:
        """Add a decision. Its cause is the event being folded; an ``event_index`` of -1 is the record's own time."""
        self.decisions.append(self._line(self.decisions, organization) | {"decision": decision} | facts)

    def alert(self, organization: str, alert: str, state: str, **facts: Any) -> None:
        """Add a step in the life of an alert."""
        self.alerts.append(self._line(self.alerts, organization) | {"alert": alert, "state": state} | facts)

    def next_due_index(self) -> int:
        """Return an event index for what falls due with the record: below all of its own, in the order of dues."""
        self.due_count += 1
        return FIRST_DUE_INDEX + self.due_count - 1

    def position(self) -> tuple[int, int, int]:
        """Return partition, offset and index of the event being folded, as lines of ``tally.entries`` write them."""
        return self._partition, self._offset, write_index(self.event_index)

    def order(self) -> tuple[int, int]:
        """Return offset and index of the event being folded, in the order in which events are folded."""
        return self._offset, self.event_index

    def _line(self, lines: list[dict[str, Any]], organization: str) -> dict[str, Any]:
        return {
            "partition": self._partition,
            "offset": self._offset,
            "seq": len(lines) + 1,
            "accepted_ms": self._accepted_ms,
            "organization": organization,
            "event_index": self.event_index,
        }
