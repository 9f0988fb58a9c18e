"""Incidents: what is known of an alert, and what becomes of a message about it (pure)."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from alerting.messages import HISTORY, OPENING, RESOLVED, Message, is_page
from alerting.routes import Route
from ledger.money import parse_text, text

HISTORY_QUIET_MS = 60_000
"""A summary of the past is sent when nothing was added to it for so long: an import takes a while."""


class Incident(msgspec.Struct, frozen=True):
    """An alert: its last line, and what became of it. ``is_past`` of one that only an import found."""

    raised_ms: int
    data: dict[str, Any]
    is_past: bool = False
    is_acknowledged: bool = False
    is_resolved: bool = False


class Decision(NamedTuple):
    """The fate of a message that is due: its state and why. It is sent where the state is pending."""

    state: str
    reason: str = ""
    due_ms: int | None = None


def update_incident(incident: Incident | None, message: Message) -> Incident:
    """Return what is known of an alert after its next line. One that is found again live is no longer past."""
    is_past = bool(message.data.get("past")) and message.type in OPENING
    if incident is None:
        return Incident(message.time_ms, message.data, is_past, is_resolved=message.type == RESOLVED)
    still_past = incident.is_past and (is_past or message.type not in OPENING)
    is_resolved = incident.is_resolved or message.type == RESOLVED
    return msgspec.structs.replace(incident, data=message.data, is_past=still_past, is_resolved=is_resolved)


def plan_opening(
    message: Message,
    incident: Incident,
    routes: Iterable[Route],
    teams: Iterable[str],
    told: Iterable[str],
    now_ms: int,
) -> list[tuple[str, int]]:
    """Plan a message that raises or escalates an alert: each route with the time at which it is due."""
    planned: list[tuple[str, int]] = []
    for route in routes:
        if not _takes(route, message, teams):
            continue
        due_ms = now_ms
        if route.after_s is not None:
            due_ms = max(now_ms, incident.raised_ms + route.after_s * 1000)
            if route.id in told and due_ms > now_ms:
                continue  # the message that waits says what the alert has become by then
            if route.id not in told and incident.is_acknowledged:
                continue
        planned.append((route.id, due_ms))
    return planned


def plan_other(message: Message, routes: Iterable[Route], teams: Iterable[str]) -> list[str]:
    """Return the routes of a message that is about no alert: of a budget, or a summary of the past. Nobody is woken for
    these."""
    return [route.id for route in routes if route.after_s is None and _takes(route, message, teams)]


def add_to_history(summary: Message | None, message: Message) -> Message:
    """Add an alert of the past to the summary of its organization."""
    data = message.data
    before: Mapping[str, Any] = {} if summary is None else summary.data
    spent = {currency: parse_text(amount) for currency, amount in before.get("spent", {}).items()}
    for currency, amount in data["spent"].items():
        spent[currency] = spent.get(currency, 0) + parse_text(amount)
    content = {
        "alerts": before.get("alerts", 0) + 1,
        "spent": {currency: text(amount) for currency, amount in sorted(spent.items())},
        "since_us": min(before.get("since_us", data["since_us"]), data["since_us"]),
        "last_us": max(before.get("last_us", data["last_us"]), data["last_us"]),
    }
    if summary is None:
        return Message(f"history-{message.id}", message.organization, HISTORY, message.time_ms, content)
    return summary._replace(data=content)


def judge(
    message: Message, attempts: int, state: str, route: Route, incident: Incident | None, has_opened: bool,
    silences: Iterable[tuple[Mapping[str, str], int]], teams: Collection[str],
) -> Decision:  # fmt: skip
    """Decide whether a message that is due is sent. One that was tried once is."""
    if message.alert is None or attempts > 0 or incident is None:
        return Decision("pending")
    if message.type not in OPENING:
        if has_opened:
            return Decision("pending")
        return Decision("not needed", "nothing of this alert was sent here")
    if incident.is_resolved and (route.after_s is not None or state == "silenced"):
        return Decision("silenced" if state == "silenced" else "not needed", "resolved before it was due")
    if route.after_s is not None and incident.is_acknowledged:
        return Decision("not needed", "acknowledged before it was due")
    ends_us = (until_us for scope, until_us in silences if is_silenced(incident.data, scope, teams))
    until_us = max(ends_us, default=None)
    if until_us is not None:
        return Decision("silenced", "silenced", until_us // 1000)
    return Decision("pending")


def renew(message: Message, route: Route, attempts: int, incident: Incident | None) -> Message:
    """Return the message with what its alert has become where it waited for an answer or a silence."""
    is_opening = message.type in OPENING and message.alert is not None
    if incident is None or attempts > 0 or not is_opening or route.after_s is None:
        return message
    return message._replace(data=incident.data)


def is_silenced(data: Mapping[str, Any], scope: Mapping[str, str], teams: Collection[str]) -> bool:
    """Tell whether a silence of a scope covers an alert of these teams: its own and those above it."""
    return all(value in teams if name == "team" else data.get(name) == value for name, value in scope.items())


def _takes(route: Route, message: Message, teams: Iterable[str]) -> bool:
    if route.organization != message.organization or message.time_ms < route.since_ms:
        return False
    if route.severity == "page" and not is_page(message):
        return False
    return route.team is None or route.team in teams
