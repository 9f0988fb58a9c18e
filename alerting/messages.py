"""What is told of an alert or a crossing, and in which words. Pure."""

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ledger.log.topics import ALERTS, DECISIONS, Topic
from ledger.money import brief

LONGEST = 120
"""Characters of a name in a sentence."""


class Message(NamedTuple):
    """``id`` is that of its cause, so the same whoever derives it again; ``time_ms`` is the log's."""

    id: str
    organization: str
    type: str
    time_ms: int
    data: dict[str, Any]


def message(topic: Topic, line: dict[str, Any]) -> Message | None:
    """Of a line of ``tally.alerts`` or ``tally.decisions``; None where it is nothing that people are told."""
    if topic is ALERTS:
        kind = f"runaway.{line['state']}"
        left_out = ("organization", "state")
    elif topic is DECISIONS and line.get("decision") == "threshold.crossed":
        kind = "budget.threshold_crossed"
        left_out = ("organization", "decision")
    else:
        return None
    short = topic.name.removeprefix("tally.")
    id = f"{short}-{line['partition']}-{line['offset']}-{line['seq']}"
    data = {name: value for name, value in line.items() if name not in left_out}
    return Message(id, line["organization"], kind, line["accepted_ms"], data)


def trial(organization: str, id: str, time_ms: int) -> Message:
    """What is sent to try a webhook."""
    return Message(id, organization, "test", time_ms, {"text": "a test: nothing has happened"})


def standard(message: Message) -> bytes:
    """The body that Standard Webhooks asks for: type, timestamp, data; amounts of money are strings."""
    at = datetime.fromtimestamp(message.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    told = {"type": message.type, "timestamp": at.replace("+00:00", "Z"), "organization": message.organization}
    return json.dumps(told | {"data": message.data}, ensure_ascii=False).encode()


def sentence(message: Message) -> tuple[str, str | None]:
    """What happened, in Slack's markup, and the page that shows it."""
    data, whose = message.data, _name(message.organization)
    match message.type:
        case "budget.threshold_crossed":
            used, limit = brief(data["used"]), brief(data["limit"])
            return (
                f":money_with_wings: *{data['threshold']} % of a budget*: {data['dimension']} {_name(data['scope'])} "
                f"of {whose} used {used} of {limit} {data['currency']} in {_length(data['window_s'])}",
                "budgets",
            )
        case "runaway.raised":
            return f":rotating_light: *Runaway*: {_loop(data)} of {whose}, {_spent(data)}", "runaways"
        case "runaway.resolved":
            why = f" ({data['reason']})" if "reason" in data else ""
            return f":white_check_mark: *Runaway over*{why}: {_loop(data)} of {whose}, {_spent(data)}", "runaways"
        case _:
            return f":wave: Tallystick reaches this channel for {whose}; nothing has happened", None


def _loop(data: dict[str, Any]) -> str:
    who = _name(data["agent"]) if "agent" in data else "an agent"
    team = f" (team {_name(data['team'])})" if "team" in data else ""
    return (
        f"{who}{team} called {_name(data['tool'])} {data['repeats']} times with the same arguments and result, in "
        f"session {_name(data['session'])}"
    )


def _spent(data: dict[str, Any]) -> str:
    spent = " and ".join(f"{brief(amount)} {currency}" for currency, amount in data["spent"].items())
    return f"spent {spent or 'nothing that has a price'}"


def _length(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _name(said: str) -> str:
    """A name as code, in which nothing is markup."""
    short = said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"
    plain = "".join(letter if letter.isprintable() and letter != "`" else " " for letter in short)
    return "`" + plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") + "`"
