"""Messages in the form of Slack's incoming webhooks, with a button that opens the page (pure)."""

import json
from typing import Any

from alerting.channels.channel import Request
from alerting.messages import Message
from alerting.routes import Route
from alerting.wording import Context, describe, find_link, list_facts, shorten

MAX_FIELDS = 10
"""Fields of a section that Slack takes."""


def render(message: Message, route: Route, context: Context, _: float) -> tuple[Request, ...]:
    """Render a message: its sentence, its facts, and a button with the link."""
    wording = describe(message, format_code)
    link = find_link(wording, context)
    line = f":{wording.symbol}: *{wording.title}*: {wording.sentence}"
    blocks: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": shorten(line, 3_000)}}]
    facts = [{"type": "mrkdwn", "text": f"*{name}*\n{escape(value)}"} for name, value in list_facts(message, context)]
    if facts:
        blocks.append({"type": "section", "fields": facts[:MAX_FIELDS]})
    if link:
        button = {"type": "button", "text": {"type": "plain_text", "text": "Look"}, "url": link}
        blocks.append({"type": "actions", "elements": [button]})
    text = line + (f" <{link}|look>" if link else "")
    body = json.dumps({"text": text, "blocks": blocks}, ensure_ascii=False).encode()
    return (Request("POST", route.address, {}, body),)


def format_code(name: str) -> str:
    """Format a name as code, in which nothing is markup."""
    plain = "".join(character if character.isprintable() and character != "`" else " " for character in shorten(name))
    return "`" + escape(plain) + "`"


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
