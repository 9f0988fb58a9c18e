"""Messages as alerts of Opsgenie's Alert API v2, by their alias (pure)."""

import json
from typing import Any
from urllib.parse import quote

from alerting.channels.channel import Request
from alerting.channels.keys import split_key
from alerting.channels.pagerduty import find_incident_key
from alerting.messages import ACKNOWLEDGED, ESCALATED, HISTORY, RESOLVED, Message, is_page
from alerting.routes import Route
from alerting.wording import Context, describe, find_link, list_facts, name_plainly, shorten

MAX_MESSAGE_LENGTH, MAX_DESCRIPTION_LENGTH, MAX_TAG_LENGTH = 130, 15_000, 50
_ACTIONS = {ACKNOWLEDGED: "acknowledge", RESOLVED: "close", "budget.unknown_usage_resolved": "close"}


def render(message: Message, route: Route, context: Context, _: float) -> tuple[Request, ...]:
    """Render the requests: create, acknowledge or close. An escalation also raises the priority of what is there, since
    creating it again does not. History makes no alert."""
    if message.type == HISTORY:
        return ()
    base, key = split_key(route.address)
    alias = find_incident_key(message)
    address = f"{base.rstrip('/')}/v2/alerts"
    headers = {"Authorization": f"GenieKey {key}"}

    def request(method: str, path: str, body: dict[str, Any]) -> Request:
        return Request(method, address + path, headers, json.dumps(body, ensure_ascii=False).encode())

    target = f"/{quote(alias, safe='')}/{{}}?identifierType=alias"
    action = _ACTIONS.get(message.type)
    if action is not None:
        note = shorten(str(message.data.get("reason", "")), MAX_DESCRIPTION_LENGTH)
        return (request("POST", target.format(action), {"source": "Tallystick"} | ({"note": note} if note else {})),)
    priority = "P1" if is_page(message) else "P3" if message.type != "test" else "P5"
    created = request("POST", "", _describe_alert(message, context, alias) | {"priority": priority})
    if message.type != ESCALATED:
        return (created,)
    return created, request("PUT", target.format("priority"), {"priority": priority})


def _describe_alert(message: Message, context: Context, alias: str) -> dict[str, Any]:
    wording = describe(message, name_plainly)
    link = find_link(wording, context)
    sentence = f"{wording.title}: {wording.sentence}"
    tags = [message.type, *([context.team] if context.team else [])]
    return {
        "message": shorten(sentence, MAX_MESSAGE_LENGTH),
        "alias": alias,
        "description": shorten(f"{sentence}\n{link}" if link else sentence, MAX_DESCRIPTION_LENGTH),
        "source": "Tallystick",
        "entity": name_plainly(message.data.get("agent", message.organization)),
        "tags": [shorten(tag, MAX_TAG_LENGTH) for tag in tags],
        "details": dict(list_facts(message, context)),
    }
