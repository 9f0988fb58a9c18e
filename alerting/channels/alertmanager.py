"""Messages as alerts of Prometheus' Alertmanager, API v2 (pure)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from alerting.channels.channel import Request
from alerting.messages import ACKNOWLEDGED, ESCALATED, HISTORY, RESOLVED, TEST, Message
from alerting.routes import SEVERITIES, Route
from alerting.wording import Context, describe, find_link, list_facts, name_plainly

LIFETIME = timedelta(days=1)
"""An alert that is never resolved ends after this time at the receiver."""


def render(message: Message, route: Route, context: Context, now_s: float) -> tuple[Request, ...]:
    """Render alerts. Labels are an alert's identity there, the severity among them: so one that escalates ends with its
    former severity and begins with the new one. Alertmanager has no acknowledgement, and history is no alert."""
    if message.type in (ACKNOWLEDGED, HISTORY):
        return ()
    now = datetime.fromtimestamp(now_s, UTC)
    severity = message.data.get("severity", "warning")
    ended: tuple[str, ...] = ()
    if message.type in (RESOLVED, "budget.unknown_usage_resolved"):
        ended = SEVERITIES
    elif message.type == ESCALATED:
        ended = tuple(name for name in SEVERITIES if name != severity)
    alerts = [_write_alert(message, context, name, now, now) for name in ended]
    if severity not in ended:
        lifetime = timedelta(minutes=5) if message.type == TEST else LIFETIME
        alerts.append(_write_alert(message, context, severity, now, now + lifetime))
    content = json.dumps(alerts, ensure_ascii=False).encode()
    return (Request("POST", f"{route.address.rstrip('/')}/api/v2/alerts", {}, content),)


def _write_alert(
    message: Message, context: Context, severity: str, now: datetime, ends_at: datetime
) -> dict[str, Any]:  # fmt: skip
    data, wording = message.data, describe(message, name_plainly)
    began = datetime.fromtimestamp(data["since_us"] / 1_000_000, UTC) if "since_us" in data else now
    labels = {
        "alertname": _name_alert(message.type), "severity": severity, "organization": message.organization,
        "alert": message.alert, "agent": data.get("agent"), "session": data.get("session"),
        "team": context.team or data.get("team"), "detector": data.get("detector"), "scope": data.get("scope"),
        "dimension": data.get("dimension"), "threshold": data.get("threshold"),
    }  # fmt: skip
    facts = {name.lower().replace(" ", "_"): value for name, value in list_facts(message, context)}
    alert: dict[str, Any] = {
        "labels": {name: str(value) for name, value in labels.items() if value is not None},
        "annotations": {"summary": f"{wording.title}: {wording.sentence}"} | facts,
        "startsAt": min(began, now).isoformat(),
        "endsAt": ends_at.isoformat(),
    }
    link = find_link(wording, context)
    return alert | ({"generatorURL": link} if link else {})


def _name_alert(kind: str) -> str:
    if kind == TEST:
        return "TallystickTest"
    if kind.startswith("runaway."):
        return "TallystickRunaway"
    return "TallystickBudget" if kind == "budget.threshold_crossed" else "TallystickUnknownUsage"
