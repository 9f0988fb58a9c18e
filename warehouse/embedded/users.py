"""Users of the embedded warehouse: passwords, connection limits and timeouts (pure)."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

USER, ANALYST = "tally", "analyst"


class Allowance(NamedTuple):
    """The limits of a user. A request's body of at most ``max_body_bytes`` waits in a file."""

    max_connections: int
    max_body_bytes: int
    body_timeout_s: float
    idle_timeout_s: float
    send_timeout_s: float
    """Time after which a connection is closed while its client reads nothing of the answer."""


ANONYMOUS = Allowance(max_connections=64, max_body_bytes=0, body_timeout_s=10, idle_timeout_s=10, send_timeout_s=10)
"""Limits of a connection that has not authenticated yet. The oldest is closed when one more comes, so a client that
sends its credentials at once is always heard."""

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
    """Hash a password. It is random and long, so one round of SHA-256 protects it."""
    return hashlib.sha256(password.encode()).hexdigest()


def authenticate(user: str, password: str, hashes: Mapping[str, str]) -> str | None:
    """Return the user where the password is right, None otherwise."""
    expected_hash = hashes.get(user)
    actual_hash = hash_password(password)
    if hmac.compare_digest(actual_hash, expected_hash or "") and expected_hash:
        return user
    return None


class Connection(NamedTuple):
    """The state of a connection. Times are seconds of one clock."""

    user: str | None
    opened_at: float
    active_at: float
    """Time of the last byte in or out."""
    head_began_at: float | None
    body_began_at: float | None
    is_served: bool
    """A request waits or runs."""
    is_sending: bool


def is_overdue(connection: Connection, now: float) -> bool:
    """Tell if a connection has exceeded one of its timeouts."""
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
    """Tell if a connection can be closed without harm: no request has begun."""
    return not connection.is_sending and not connection.is_served and connection.body_began_at is None
