"""Messages in the form of Standard Webhooks, signed (pure)."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

from alerting.channels.channel import Request
from alerting.messages import Message
from alerting.routes import Route
from alerting.wording import Context, describe, find_link, name_plainly


def render(message: Message, route: Route, context: Context, now_s: float) -> tuple[Request, ...]:
    """Render a signed request of Standard Webhooks."""
    body = render_standard(message, context)
    headers = sign_message(route.secret, message.id, int(now_s), body)
    return (Request("POST", route.address, headers, body),)


def render_standard(message: Message, context: Context) -> bytes:
    """Render the body: type, timestamp, data, and who is behind it. Amounts of money are strings."""
    timestamp = datetime.fromtimestamp(message.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    body = {"type": message.type, "timestamp": timestamp.replace("+00:00", "Z"), "organization": message.organization}
    link = find_link(describe(message, name_plainly), context)
    people = {"owner": context.owner, "on_call": context.on_call, "link": link}
    content = body | {name: value for name, value in people.items() if value} | {"data": message.data}
    return json.dumps(content, ensure_ascii=False).encode()


def sign_message(secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Make the headers of Standard Webhooks: HMAC-SHA256 over id, time and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
