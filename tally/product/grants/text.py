"""Describe grants and their limits: in lines of text, in the cells of a table, and for programs. A limit is written as
the option ``--limit`` takes it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ledger.money import brief, text
from streams.folds.event import EPOCH
from streams.folds.grants.limits import MONEY, Limit
from streams.folds.grants.records import read_change
from streams.folds.grants.tree import Grant, Lists, Posture
from streams.folds.grants.windows import Window
from tally.product.grants.usage import GrantUsage, LimitUsage

_UNITS = {86_400: "d", 3_600: "h", 60: "m"}
ANY_CALL = "any call"


def format_limit(limit: Limit) -> str:
    """Write a limit, for example ``billed:100USD/1h,floor=40``."""
    floor = f",floor={write_amount(limit, limit.floor)}" if limit.floor else ""
    lend = f",lend={write_amount(limit, limit.lend)}" if limit.lend else ""
    amount, window = write_amount(limit, limit.amount), format_window(limit.window)
    return f"{limit.meter}:{amount}{limit.currency}/{window}{floor}{lend}"


def format_window(window: Window) -> str:
    """Write a window, for example ``1h``, ``day@Europe/Berlin`` or ``total``."""
    if window.kind == "rolling":
        seconds = window.length_us // 1_000_000
        unit = next(unit for unit in _UNITS if seconds % unit == 0)
        return f"{seconds // unit}{_UNITS[unit]}"
    return window.kind if window.kind == "total" or window.zone == "UTC" else f"{window.kind}@{window.zone}"


def write_amount(limit: Limit, amount: int) -> str:
    """Write an amount as ``--limit`` takes it: money as a decimal, tokens and calls whole, whole millions as ``5M``."""
    if limit.meter in MONEY:
        return brief(text(amount))
    return f"{amount // 1_000_000}M" if amount % 1_000_000 == 0 else str(amount)


def format_amount(limit: Limit, amount: int) -> str:
    """Write an amount of a limit for people."""
    return brief(text(amount)) if limit.meter in MONEY else f"{amount:,}"


def write_exact(limit: Limit, amount: int) -> str | int:
    """Write an amount of a limit for programs: money as an exact text."""
    return text(amount) if limit.meter in MONEY else amount


def describe_at_limit(limit: Limit) -> str:
    """Describe what an admission answers where a limit has no room."""
    return f"{limit.at_limit} to {limit.downgrade_to}" if limit.downgrade_to else limit.at_limit


def describe_allow(allow: Lists) -> str:
    """Describe a set of calls."""
    return "; ".join(f"{dimension.replace('_', ' ')} {', '.join(names)}" for dimension, names in allow) or ANY_CALL


def describe_refill(usage: LimitUsage) -> str:
    """Describe when what is used comes back."""
    if usage.limit.window.kind == "total":
        return "never"
    return "" if usage.refill_us is None else describe_moment(usage.refill_us)


def describe_moment(time_us: int) -> str:
    """Write a moment for people, in UTC: by the day, the minute or the second, as it needs."""
    moment = EPOCH + timedelta(microseconds=time_us)
    if moment.second:
        return f"{moment:%Y-%m-%d %H:%M:%S}"
    return f"{moment:%Y-%m-%d %H:%M}" if (moment.hour, moment.minute) != (0, 0) else f"{moment:%Y-%m-%d}"


def describe_grant(usage: GrantUsage) -> Iterator[str]:
    """Yield what a grant says, a line each."""
    grant = usage.grant
    yield f"{grant.name}: {grant.dimension} {grant.scope}, {usage.state}"
    if usage.above:
        yield f"  within      {' < '.join(usage.above)}"
    yield f"  allows      {describe_allow(grant.allow)}"
    yield f"  starts      {describe_moment(grant.starts_us)}"
    if grant.expires_us is not None:
        yield f"  expires     {describe_moment(grant.expires_us)}"
    if grant.revoked_us is not None:
        yield f"  revoked     {describe_moment(grant.revoked_us)}"
    if grant.is_delegable:
        yield "  delegable   its holder may give parts of it on (`tally grant delegate`)"
    if grant.granted_by is not None:
        yield f"  granted by  {grant.granted_by}"


def describe_narrowings(grant: Grant, time_us: int) -> Iterator[str]:
    """Yield the narrowings of a grant that end, a line each."""
    for posture in grant.list_postures(time_us):
        yield f"  narrowed    until {describe_moment(posture.until_us)}: {_describe_posture(posture)}"


def describe_limits(usage: GrantUsage) -> str:
    """Describe the limits of a grant and what is left of each, in a line."""
    parts = [
        f"{format_limit(part.limit)} ({format_amount(part.limit, part.left)} left"
        + (f", {format_amount(part.limit, part.reserved)} reserved" if part.reserved else "")
        + (f", {format_amount(part.limit, part.leased)} leased" if part.leased else "")
        + (f", {format_amount(part.limit, part.borrowed)} borrowed" if part.borrowed else "")
        + (f", {format_amount(part.limit, part.kept)} kept for floors" if part.kept else "")
        + ")"
        for part in usage.limits
    ]
    return ", ".join(parts) or "no limit of its own"


def list_facts(usage: GrantUsage, time_us: int) -> dict[str, Any]:
    """Return a grant for programs. Money is an exact text, and a person is the pseudonym of the log."""
    grant = usage.grant
    narrowings = [
        {"until": write_moment(posture.until_us), "allow": write_allow(posture.allow), "paused": posture.is_paused,
         "limits": [format_limit(limit) for limit in posture.limits]}
        for posture in grant.list_postures(time_us)
    ]  # fmt: skip
    return {
        "grant": grant.name, "parent": grant.parent, "above": list(usage.above), "dimension": grant.dimension,
        "scope": grant.scope, "state": usage.state, "allow": write_allow(grant.allow),
        "starts_at": write_moment(grant.starts_us), "expires_at": write_moment(grant.expires_us),
        "revoked_at": write_moment(grant.revoked_us), "delegable": grant.is_delegable,
        "granted_by": grant.granted_by, "narrowings": narrowings,
        "limits": [list_limit_facts(limit_usage) for limit_usage in usage.limits],
    }  # fmt: skip


def list_limit_facts(usage: LimitUsage) -> dict[str, Any]:
    """Return a limit and its use for programs."""
    limit = usage.limit
    amounts = {
        name: write_exact(limit, amount)
        for name, amount in (
            ("amount", limit.amount), ("floor", limit.floor), ("lend", limit.lend), ("used", usage.used),
            ("reserved", usage.reserved), ("leased", usage.leased), ("borrowed", usage.borrowed), ("kept", usage.kept),
            ("left", usage.left),
        )
    }  # fmt: skip
    return {
        "limit": limit.key, "meter": limit.meter, "currency": limit.currency or None,
        "window": format_window(limit.window), **amounts, "refill_at": write_moment(usage.refill_us),
        "at_limit": limit.at_limit, "downgrade_to": limit.downgrade_to, "thresholds": list(limit.thresholds),
        "unknown_usage": limit.unknown_usage,
    }  # fmt: skip


def write_allow(allow: Lists) -> dict[str, list[str]]:
    """Return a set of calls for programs; empty is any call."""
    return {dimension: list(names) for dimension, names in allow}


def write_moment(time_us: int | None) -> str | None:
    """Write a moment for programs."""
    if time_us is None:
        return None
    return (EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")


def _describe_posture(posture: Posture) -> str:
    parts = ["paused"] if posture.is_paused else []
    parts += [describe_allow(posture.allow)] if posture.allow else []
    return ", ".join([*parts, *(format_limit(limit) for limit in posture.limits)])


def describe_record(body: dict[str, Any]) -> Iterator[str]:
    """Yield what a record that was applied says, a line each."""
    if "scope" in body:
        yield f"  principal   {body['dimension']} {body['scope']}"
    if body.get("parent") is not None:
        yield f"  parent      {body['parent']}"
    change = read_change(body)
    if change.allow or "scope" in body:
        yield f"  allows      {describe_allow(change.allow)}"
    for limit in change.limits:
        percents = ", ".join(map(str, limit.thresholds))
        yield f"  limit       {format_limit(limit)}, then {describe_at_limit(limit)}; tells {percents} %"
    if change.expires_us is not None:
        yield f"  expires     {describe_moment(change.expires_us)}"
    if change.is_delegable is not None:
        yield f"  delegable   {'yes' if change.is_delegable else 'no'}"
    if change.is_paused is not None:
        yield f"  paused      {'yes' if change.is_paused else 'no'}"
    if change.until_us is not None:
        yield f"  until       {describe_moment(change.until_us)}"
