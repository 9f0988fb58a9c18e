"""Who may ask the embedded warehouse, what each may keep open, and how long each may take to say it (pure)."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

USER, ANALYST = "tally", "analyst"


class Allowance(NamedTuple):
    """What somebody may have of the server. ``max_body_bytes`` is what a request may have; it waits in a file."""

    max_connections: int
    max_body_bytes: int
    body_timeout_s: float
    idle_timeout_s: float
    send_timeout_s: float
    """How long an answer may lie there of which nothing is taken."""


ANONYMOUS = Allowance(max_connections=64, max_body_bytes=0, body_timeout_s=10, idle_timeout_s=10, send_timeout_s=10)
"""Who has not said yet, in the head of a request, who it is. Such connections share the machine's loopback with those
of the product: the oldest goes when one more comes, so who says at once who it is always gets that far."""

ALLOWANCES = {
    USER: Allowance(
        max_connections=96, max_body_bytes=128 << 20, body_timeout_s=300, idle_timeout_s=600, send_timeout_s=600
    ),
    ANALYST: Allowance(
        max_connections=96, max_body_bytes=1 << 20, body_timeout_s=30, idle_timeout_s=600, send_timeout_s=60
    ),
}

HEAD_TIMEOUT_S = 10.0


def allowance(user: str | None) -> Allowance:
    return ANONYMOUS if user is None else ALLOWANCES[user]


def hash_password(password: str) -> str:
    """What is kept of a password. It is random and long, so one round of SHA-256 keeps it."""
    return hashlib.sha256(password.encode()).hexdigest()


def authenticate(user: str, password: str, hashes: Mapping[str, str]) -> str | None:
    """The user, where the password is its own; None otherwise."""
    expected_hash = hashes.get(user)
    actual_hash = hash_password(password)
    if hmac.compare_digest(actual_hash, expected_hash or "") and expected_hash:
        return user
    return None


class Connection(NamedTuple):
    """How a connection is now; times are seconds of one clock."""

    user: str | None
    opened_at: float
    active_at: float
    """When a byte last came or went."""
    head_began_at: float | None
    body_began_at: float | None
    is_served: bool
    """Whether a request of it waits or runs."""
    is_sending: bool


def is_overdue(connection: Connection, now: float) -> bool:
    """Whether a connection keeps its place for nothing."""
    limits = allowance(connection.user)
    if connection.is_sending:
        return now - connection.active_at > limits.send_timeout_s
    if connection.is_served:
        return False
    if connection.body_began_at is not None:
        return now - connection.body_began_at > limits.body_timeout_s
    if connection.head_began_at is not None:
        return now - connection.head_began_at > HEAD_TIMEOUT_S
    return now - connection.active_at > limits.idle_timeout_s


def is_idle(connection: Connection) -> bool:
    """Whether nothing is lost with it but its place: no request has begun."""
    return not connection.is_sending and not connection.is_served and connection.body_began_at is None
