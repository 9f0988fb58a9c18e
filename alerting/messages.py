"""The messages that are sent, and the lines of the log that they are read from (pure)."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ledger.log.topics import ALERTS, DECISIONS, Topic
from tallystick.vocabulary.controls.alerts import AlertAcknowledged, AlertResolved

_BUDGET_MESSAGES = {
    "threshold.crossed": "budget.threshold_crossed",
    "unknown_usage.raised": "budget.unknown_usage_raised",
    "unknown_usage.resolved": "budget.unknown_usage_resolved",
}
"""The type of message that a decision about a budget makes."""

RAISED, ESCALATED, RESOLVED = "runaway.raised", "runaway.escalated", "runaway.resolved"
ACKNOWLEDGED, HISTORY, TEST = "runaway.acknowledged", "runaway.history", "test"
OPENING = (RAISED, ESCALATED)
"""Messages that ask for somebody's attention; the others follow them."""
_HANDLING_MESSAGES = {AlertAcknowledged.control_type: ACKNOWLEDGED, AlertResolved.control_type: RESOLVED}


class Message(NamedTuple):
    """A message to deliver. ``id`` is that of its cause, so the same in every generation; ``time_ms`` is the log's."""

    id: str
    organization: str
    type: str
    time_ms: int
    data: dict[str, Any]

    @property
    def alert(self) -> str | None:
        """The alert that it speaks of; None of a message about something else."""
        alert: str | None = self.data.get("alert") if self.type.startswith("runaway.") else None
        return alert


def read_message(topic: Topic, line: dict[str, Any]) -> Message | None:
    """Read the message of a line of ``tally.alerts`` or ``tally.decisions``; None where the line makes none, as of what
    a budget crossed only in the past: that is no news."""
    if topic is ALERTS:
        kind = f"runaway.{line['state']}"
        excluded = ("organization", "state")
    elif topic is DECISIONS and line.get("decision") in _BUDGET_MESSAGES and not line.get("past"):
        kind = _BUDGET_MESSAGES[line["decision"]]
        excluded = ("organization", "decision")
    else:
        return None
    data = {name: value for name, value in line.items() if name not in excluded}
    return Message(_name_message(topic, line), line["organization"], kind, line["accepted_ms"], data)


def read_handling(line: dict[str, Any], alert: Mapping[str, Any]) -> Message | None:
    """Read the message of a person's decision about an alert, whose last line is ``alert``; None without one."""
    kind = _HANDLING_MESSAGES.get(line.get("control_type", ""))
    if kind is None:
        return None
    body = json.loads(line["body"])
    position = {name: line[name] for name in ("partition", "offset", "seq", "event_index", "accepted_ms")}
    handling = {"by": body.get("actor"), "reason": body.get("reason")}
    said = {name: value for name, value in handling.items() if value is not None}
    data = {**alert, **position, **said}
    return Message(_name_message(DECISIONS, line), line["organization"], kind, line["accepted_ms"], data)


def create_test_message(organization: str, id: str, time_ms: int) -> Message:
    """Create the message that tries a route."""
    return Message(id, organization, TEST, time_ms, {"text": "a test: nothing has happened"})


def is_page(message: Message) -> bool:
    """Tell whether a message is one to be woken for."""
    return message.data.get("severity") == "page"


def _name_message(topic: Topic, line: Mapping[str, Any]) -> str:
    return f"{topic.name.removeprefix('tally.')}-{line['partition']}-{line['offset']}-{line['seq']}"
