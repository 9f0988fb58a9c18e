"""Messages as events of PagerDuty's Events API v2: one incident an alert, by its deduplication key (pure)."""

import json
from datetime import UTC, datetime

from alerting.channels.channel import Request
from alerting.channels.keys import split_key
from alerting.messages import ACKNOWLEDGED, HISTORY, RESOLVED, Message, is_page
from alerting.routes import Route
from alerting.wording import Context, describe, find_link, list_facts, name_plainly, shorten

MAX_SUMMARY_LENGTH = 1_024
_ACTIONS = {ACKNOWLEDGED: "acknowledge", RESOLVED: "resolve", "budget.unknown_usage_resolved": "resolve"}


def render(message: Message, route: Route, context: Context, _: float) -> tuple[Request, ...]:
    """Render an event: trigger, acknowledge or resolve. History makes no incident."""
    if message.type == HISTORY:
        return ()
    url, key = split_key(route.address)
    wording = describe(message, name_plainly)
    link = find_link(wording, context)
    action = _ACTIONS.get(message.type, "trigger")
    event: dict[str, object] = {"routing_key": key, "event_action": action, "dedup_key": find_incident_key(message)}
    if action == "trigger":
        timestamp = datetime.fromtimestamp(message.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
        event |= {
            "client": "Tallystick",
            "payload": {
                "summary": shorten(f"{wording.title}: {wording.sentence}", MAX_SUMMARY_LENGTH),
                "source": name_plainly(message.organization),
                "severity": "critical" if is_page(message) else "warning" if message.type != "test" else "info",
                "timestamp": timestamp,
                "class": message.data.get("detector", message.type),
                **({"component": name_plainly(message.data["agent"])} if "agent" in message.data else {}),
                **({"group": name_plainly(context.team)} if context.team else {}),
                "custom_details": dict(list_facts(message, context)),
            },
        }
        event |= {"client_url": link, "links": [{"href": link, "text": "Look"}]} if link else {}
    return (Request("POST", url, {}, json.dumps(event, ensure_ascii=False).encode()),)


def find_incident_key(message: Message) -> str:
    """Return the key of the incident that a message is about: the alert, or the budget."""
    data = message.data
    if message.type.startswith("budget."):
        kind = "unknown" if "unknown" in message.type else "threshold"
        return shorten(f"{kind}-{message.organization}-{data['dimension']}-{data['scope']}-{data['window_s']}", 255)
    return message.alert or message.id
