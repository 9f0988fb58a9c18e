"""One message to one webhook: signed, sent, and what was answered."""

import base64
import hashlib
import hmac
import time
from functools import cache
from typing import NamedTuple

import httpx

from alerting.messages import Message, slack, standard
from alerting.webhooks import Webhook

TIMEOUT_S = 10
GONE = 410

_authorities = cache(httpx.create_ssl_context)
"""Whom we trust, read once a process: it takes longer than a post (`python -m benchmarks.telling`)."""


class Answer(NamedTuple):
    """``said`` is the status, or why there is none. Nothing of a body is kept."""

    delivered: bool
    gone: bool
    said: str


def send(webhook: Webhook, message: Message, dashboards: str | None) -> Answer:
    """Post it, without following redirects: what is sent elsewhere was not meant for there."""
    if webhook.format == "slack":
        body, headers = slack(message, dashboards), {}
    else:
        body = standard(message)
        headers = signature(webhook.secret, message.id, int(time.time()), body)
    try:
        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, verify=_authorities()) as client:
            kind = {"Content-Type": "application/json", "User-Agent": "tallystick"}
            with client.stream("POST", webhook.url, content=body, headers=kind | headers) as response:
                status = response.status_code
    except httpx.HTTPError as error:
        return Answer(False, False, f"no answer ({type(error).__name__})")
    return Answer(200 <= status < 300, status == GONE, f"HTTP {status}")


def signature(secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks: HMAC-SHA256 over id, time and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(signed).decode(),
    }
