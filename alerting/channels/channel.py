"""The request or mail that a channel renders, and its receiver's answer."""

from collections.abc import Callable
from typing import NamedTuple

from alerting.messages import Message
from alerting.routes import Route
from alerting.wording import Context


class Answer(NamedTuple):
    """A receiver's answer. ``status`` is that of HTTP or SMTP, or why there is none; ``is_gone`` says that the receiver
    wants no more, ``retry_after_s`` when it wants the next. Nothing that a receiver words is kept."""

    delivered: bool
    is_gone: bool
    status: str
    retry_after_s: float | None = None


class Request(NamedTuple):
    """One request over HTTP."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


class Mail(NamedTuple):
    """One mail over SMTP: the server's address with user and password, sender, recipient, and the whole text."""

    server: str
    sender: str
    recipient: str
    content: bytes


Render = Callable[[Message, Route, Context, float], tuple[Request | Mail, ...]]
"""Render a message for a route at a moment, in seconds: what is sent, in order. Nothing where the channel has no such
message."""
