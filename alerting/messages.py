"""The message of an alert or a crossing, and its text (pure)."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ledger.detectors import spell_detector
from ledger.log.topics import ALERTS, DECISIONS, Topic
from ledger.money import brief

MAX_NAME_LENGTH = 120
"""Characters of a name in a sentence."""

_BUDGET_MESSAGES = {
    "threshold.crossed": "budget.threshold_crossed",
    "unknown_usage.raised": "budget.unknown_usage_raised",
    "unknown_usage.resolved": "budget.unknown_usage_resolved",
}
"""The type of message that a decision about a budget makes."""


_SEVERITY_SIGNS = {"warning": ":warning:", "page": ":rotating_light:"}


class Message(NamedTuple):
    """A message to deliver. ``id`` is that of its cause, so the same in every generation; ``time_ms`` is the log's."""

    id: str
    organization: str
    type: str
    time_ms: int
    data: dict[str, Any]


def read_message(topic: Topic, line: dict[str, Any]) -> Message | None:
    """Read the message of a line of ``tally.alerts`` or ``tally.decisions``; None where the line makes none, as of what
    happened only in the past: that is no news."""
    if line.get("past"):
        return None
    if topic is ALERTS:
        kind = f"runaway.{line['state']}"
        excluded = ("organization", "state")
    elif topic is DECISIONS and line.get("decision") in _BUDGET_MESSAGES:
        kind = _BUDGET_MESSAGES[line["decision"]]
        excluded = ("organization", "decision")
    else:
        return None
    topic_name = topic.name.removeprefix("tally.")
    id = f"{topic_name}-{line['partition']}-{line['offset']}-{line['seq']}"
    data = {name: value for name, value in line.items() if name not in excluded}
    return Message(id, line["organization"], kind, line["accepted_ms"], data)


def create_test_message(organization: str, id: str, time_ms: int) -> Message:
    """Create the message that tries a webhook."""
    return Message(id, organization, "test", time_ms, {"text": "a test: nothing has happened"})


def render_standard(message: Message) -> bytes:
    """Render the body of Standard Webhooks: type, timestamp, data. Amounts of money are strings."""
    timestamp = datetime.fromtimestamp(message.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    body = {"type": message.type, "timestamp": timestamp.replace("+00:00", "Z"), "organization": message.organization}
    return json.dumps(body | {"data": message.data}, ensure_ascii=False).encode()


def render_sentence(message: Message) -> tuple[str, str | None]:
    """Render a message in Slack's markup, and name the page that shows it."""
    data, organization = message.data, _format_name(message.organization)
    match message.type:
        case "budget.threshold_crossed":
            used, limit = brief(data["used"]), brief(data["limit"])
            return (
                f":money_with_wings: *{data['threshold']} % of a budget*: {data['dimension']} "
                f"{_format_name(data['scope'])} of {organization} used {used} of {limit} {data['currency']} "
                f"in {_format_duration(data['window_s'])}",
                "budgets",
            )
        case "budget.unknown_usage_raised":
            return (
                f":grey_question: *Usage of unknown cost*: {data['dimension']} {_format_name(data['scope'])} of "
                f"{organization}, whose budget denies it, has calls of unknown cost ({data['unknown_calls']}) in "
                f"{_format_duration(data['window_s'])}",
                "budgets",
            )
        case "budget.unknown_usage_resolved":
            return (
                f":white_check_mark: *No more usage of unknown cost*: {data['dimension']} "
                f"{_format_name(data['scope'])} of {organization}",
                "budgets",
            )
        case "runaway.raised":
            return (
                f"{_SEVERITY_SIGNS[data['severity']]} *Runaway*: {_describe_loop(data)} of {organization}, "
                f"{_describe_cost(data)}{_describe_rate(data)}",
                "runaways",
            )
        case "runaway.escalated":
            return (
                f"{_SEVERITY_SIGNS[data['severity']]} *Runaway goes on* ({data['reason']}): {_describe_loop(data)} of "
                f"{organization}, {_describe_cost(data)}{_describe_rate(data)}",
                "runaways",
            )
        case "runaway.resolved":
            reason = f" ({data['reason']})" if "reason" in data else ""
            return (
                f":white_check_mark: *Runaway over*{reason}: {_describe_loop(data)} of {organization}, "
                f"{_describe_cost(data)}",
                "runaways",
            )
        case _:
            return f":wave: Tallystick reaches this channel for {organization}; nothing has happened", None


def _describe_loop(data: dict[str, Any]) -> str:
    agent = _format_name(data["agent"]) if "agent" in data else "an agent"
    team = f" (team {_format_name(data['team'])})" if "team" in data else ""
    session = f"in session {_format_name(data['session'])}"
    if "tool" not in data:
        return f"{agent}{team}, {spell_detector(data['detector'])} over {data['repeats']} calls, {session}"
    return (
        f"{agent}{team} called {_format_name(data['tool'])} {data['repeats']} times with the same arguments and "
        f"result, {session}"
    )


def _describe_cost(data: dict[str, Any]) -> str:
    cost = " and ".join(f"{brief(amount)} {currency}" for currency, amount in data["spent"].items())
    return f"spent {cost or 'nothing that has a price'}"


def _describe_rate(data: dict[str, Any]) -> str:
    rates = " and ".join(f"{Decimal(amount):.2f} {currency}" for currency, amount in data["per_hour"].items())
    return f", {rates} an hour" if rates else ""


def _format_duration(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _format_name(name: str) -> str:
    """Format a name as code, in which nothing is markup."""
    short = name if len(name) <= MAX_NAME_LENGTH else name[: MAX_NAME_LENGTH - 1] + "…"
    plain = "".join(character if character.isprintable() and character != "`" else " " for character in short)
    return "`" + plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") + "`"
