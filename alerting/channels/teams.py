"""Messages as adaptive cards, for the webhook of a workflow of Microsoft Teams (pure)."""

import json
from typing import Any

from alerting.channels.channel import Request
from alerting.messages import OPENING, Message
from alerting.routes import Route
from alerting.wording import Context, describe, find_link, list_facts, name_plainly

_SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"


def render(message: Message, route: Route, context: Context, _: float) -> tuple[Request, ...]:
    """Render a card: title, sentence, facts, and an action that opens the page."""
    wording = describe(message, escape_name)
    link = find_link(wording, context)
    color = "attention" if message.type in OPENING else "default"
    title = {"type": "TextBlock", "text": wording.title, "weight": "bolder", "size": "medium", "wrap": True}
    body: list[dict[str, Any]] = [
        title | {"color": color},
        {"type": "TextBlock", "text": wording.sentence, "wrap": True},
    ]
    if facts := list_facts(message, context):
        body.append({"type": "FactSet", "facts": [{"title": name, "value": escape_name(fact)} for name, fact in facts]})
    card = {"$schema": _SCHEMA, "type": "AdaptiveCard", "version": "1.4", "body": body}
    card |= {"actions": [{"type": "Action.OpenUrl", "title": "Look", "url": link}]} if link else {}
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    content = json.dumps({"type": "message", "attachments": [attachment]}, ensure_ascii=False).encode()
    return (Request("POST", route.address, {}, content),)


def escape_name(name: str) -> str:
    """Write a name so that a card's Markdown shows it as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]()<>#" else letter for letter in name_plainly(name))
