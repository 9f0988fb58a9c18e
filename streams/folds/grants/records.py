"""Read what control records say of grants into grants, limits and changes."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ledger.money import pico
from streams.folds.event import EPOCH
from streams.folds.grants.limits import DEFAULT_THRESHOLDS, MONEY, Limit
from streams.folds.grants.tree import Change, Grant, Lists, write_lists
from streams.folds.grants.windows import Window

MINUTE_US = 60_000_000


def read_grant(body: Mapping[str, Any], starts_us: int, granted_by: str | None) -> Grant:
    """Read the body of ``grant.created`` or ``grant.delegated``."""
    return Grant(
        body["grant"],
        body.get("parent"),
        body["dimension"],
        body["scope"],
        _read_allow(body),
        _read_limits(body),
        starts_us,
        _read_time(body, "expires_at"),
        body.get("delegable") or False,
        granted_by,
    )


def read_change(body: Mapping[str, Any]) -> Change:
    """Read the body of ``grant.narrowed`` or ``grant.extended``."""
    return Change(
        _read_allow(body),
        _read_limits(body),
        _read_time(body, "expires_at"),
        body.get("delegable"),
        body.get("paused"),
        _read_time(body, "until"),
    )


def read_time_us(text: str) -> int:
    return (datetime.fromisoformat(text.upper()) - EPOCH) // timedelta(microseconds=1)


def _read_time(body: Mapping[str, Any], field: str) -> int | None:
    text = body.get(field)
    return None if text is None else read_time_us(text)


def _read_allow(body: Mapping[str, Any]) -> Lists:
    return write_lists(
        {dimension: names for dimension, names in (body.get("allow") or {}).items() if names is not None}
    )


def _read_limits(body: Mapping[str, Any]) -> tuple[Limit, ...]:
    return tuple(_read_limit(limit) for limit in body.get("limits") or ())


def _read_limit(body: Mapping[str, Any]) -> Limit:
    return Limit(
        body["meter"],
        _read_amount(body, "amount"),
        _read_window(body.get("window")),
        body.get("currency") or "",
        body.get("at_limit") or "deny",
        body.get("downgrade_to"),
        body.get("unknown_usage") or "assume_greatest",
        tuple(sorted(set(body.get("thresholds") or DEFAULT_THRESHOLDS))),
        _read_amount(body, "floor"),
        _read_amount(body, "lend"),
    )


def _read_amount(body: Mapping[str, Any], field: str) -> int:
    amount = str(body.get(field) or 0)
    return pico(amount) if body["meter"] in MONEY else int(Decimal(amount))


def _read_window(body: Mapping[str, Any] | None) -> Window:
    if body is None:
        return Window()
    if body.get("rolling_s") is not None:
        return Window("rolling", body["rolling_s"] * 1_000_000)
    offsets = tuple(
        (read_time_us(offset["since"]), offset["minutes"] * MINUTE_US) for offset in body.get("offsets") or ()
    )
    return Window(body["calendar"], 0, body.get("zone") or "UTC", body.get("first_month") or 1, offsets)
