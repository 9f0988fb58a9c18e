"""The demo organization's grants, and what is asked of them while it runs: calls that are allowed, made cheaper or
refused, and a lease."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from tally.demo.calls import Event
from tally.demo.organization import NAME

ASK_INTERVAL_S = 15
_DAY, _HOUR = {"rolling_s": 86_400}, {"rolling_s": 3_600}


def list_grants(organization: str = NAME) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the records of a small tree of grants: control types and bodies, each after its parent."""
    yield "grant.created", {
        "grant": "company", "dimension": "organization", "scope": organization, "delegable": True,
        "limits": [_build_limit("billed", "5000", {"calendar": "month"})],
    }  # fmt: skip
    yield "grant.created", {
        "grant": "engineering", "parent": "company", "dimension": "team", "scope": "engineering",
        "allow": {"providers": ["openai"]}, "delegable": True,
        "limits": [_build_limit("billed", "0.10", _HOUR, at_limit="downgrade", downgrade_to="gpt-5-nano"),
                   _build_limit("billed", "60", _DAY, at_limit="throttle")],
    }  # fmt: skip
    yield "grant.delegated", {
        "grant": "reviewer", "parent": "engineering", "dimension": "agent", "scope": "reviewer",
        "limits": [_build_limit("calls", "2000")],
    }  # fmt: skip
    yield "grant.created", {
        "grant": "research", "parent": "company", "dimension": "team", "scope": "research",
        "allow": {"models": ["claude-sonnet-4-5", "gpt-5"]},
        "limits": [_build_limit("billed", "2", _DAY), _build_limit("tokens", "2000000", _DAY, at_limit="warn")],
    }  # fmt: skip
    yield "grant.created", {
        "grant": "search", "parent": "company", "dimension": "team", "scope": "search",
        "limits": [_build_limit("billed", "40", _DAY)],
    }  # fmt: skip
    yield "grant.created", {
        "grant": "sales-trial", "parent": "company", "dimension": "team", "scope": "sales",
        "limits": [_build_limit("tokens", "3000000", at_limit="warn")],
    }  # fmt: skip


def make_asks(incarnation: str) -> Iterator[tuple[Event, ...]]:
    """Yield endlessly what is asked at a time, as events without times, with the call that an allowed ask leads to."""
    for number in count():
        name = f"{incarnation}-ask-{number}"
        yield _ask(f"{name}-a", team="search", model="gpt-5-mini", provider="openai"), _call(f"{name}-a")
        yield (_ask(f"{name}-b", team="research", model="claude-sonnet-4-5", provider="anthropic", max_tokens=40_000),)
        yield (_ask(f"{name}-c", team="engineering", model="gpt-5", provider="openai", max_tokens=12_000),)
        if number % 4 == 0:
            yield (_ask(f"{name}-d", team="research", model="gpt-4o", provider="openai"),)
            amounts = {"billed": "0.5", "currency": "USD", "tokens": 200_000, "calls": 50}
            yield (_build_event("lease", f"{name}-lease", holder="gateway-1", team="search", settle_s=60, **amounts),)


def set_times(events: tuple[Event, ...], start: datetime) -> list[Event]:
    """Give events their times, three seconds apart."""
    times = (start + timedelta(seconds=3 * number) for number in range(len(events)))
    return [
        event | {"time": time.isoformat(timespec="milliseconds")} for event, time in zip(events, times, strict=False)
    ]


def _build_limit(meter: str, amount: str, window: dict[str, Any] | None = None, **fields: str) -> dict[str, Any]:
    limit: dict[str, Any] = {"meter": meter, "amount": amount, **fields}
    return limit | ({"currency": "USD"} if meter == "billed" else {}) | ({} if window is None else {"window": window})


def _ask(name: str, max_tokens: int = 800, **fields: Any) -> Event:
    return _build_event("admission", name, input_tokens=4_000, max_tokens=max_tokens, ttl_s=300, **fields)


def _call(admission: str) -> Event:
    tokens = {"input": 3_600, "output": 420}
    return _build_event(
        "inference", f"{admission}-call", team="search", project="storefront", feature="query-rewrite",
        provider="openai", model="gpt-5-mini", operation="chat", status="ok", usage_source="reported", tokens=tokens,
        admission=admission,
    )  # fmt: skip


def _build_event(kind: str, id: str, **data: Any) -> Event:
    return {"id": id, "source": "demo-gateway", "type": f"tallystick.{kind}.v1", "data": data}
