"""Call trees and sessions to look at: of agents, with parents that are late, missing or in a circle, long and short."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from tallystick import Observation, ObservationEvent
from tests.dashboards.feed import MARKUP_NAME, call

SONNET, HAIKU = "claude-sonnet-4-5", "claude-haiku-4-5"


def build_agent_tree(start: datetime) -> list[bytes]:
    """Three agents below a root, in a session that is resumed after three days: one call fails and is repeated by
    another model, a cache answers one, and one has no price. It costs $0.42: the root 0.03, research 0.066, coding
    0.324."""
    common: dict[str, Any] = {"root_call": "plan", "team": "platform", "session": "s-agents"}
    resumed = start + timedelta(days=3)

    def step(id: str, at_s: float, parent: str | None, time: datetime = start, **fields: Any) -> bytes:
        return call(id, time + timedelta(seconds=at_s), **common | {"parent_call": parent} | fields)

    return [
        step("plan", 0, None, agent="planner", model=SONNET, latency_ms=4_000, tokens={"input": 10_000}),
        step("research", 4, "plan", agent="researcher", model=SONNET, tool="web_search", latency_ms=9_000,
             tokens={"input": 2_000, "cache_read": 100_000}),
        step("page-1", 14, "research", agent="researcher", model=HAIKU, tool="read_page", latency_ms=2_500,
             tokens={"input": 30_000}),
        step("page-2", 14.5, "research", agent="researcher", model=HAIKU, tool="read_page", response_cache="hit",
             latency_ms=12, tokens={"input": 30_000}),
        step("code", 20, "plan", agent="coder", model=SONNET, tool="edit_file", latency_ms=30_000,
             tokens={"input": 80_000, "output": 4_000}),
        step("test", 51, "code", agent="coder", model=SONNET, tool="run_tests", status="error", latency_ms=700,
             tokens={"input": 2_000}),
        step("test-again", 53, "code", agent="coder", model=HAIKU, tool="run_tests", attempt=2, retry_of="test",
             fallback_of="test", fallback_reason="overloaded", role="fallback", latency_ms=6_000,
             tokens={"input": 3_000, "output": 3_000}),
        step("review", 0, "code", resumed, agent="reviewer", model="in-house-7b", latency_ms=3_000,
             tokens={"input": 500}),
    ]  # fmt: skip


def build_odd_trees(start: datetime) -> list[bytes]:
    """A child whose parent comes after it, one whose parent never comes, and two that name each other."""
    tokens = {"input": 1_000_000}
    second = timedelta(seconds=1)
    return [
        call("late-child", start + second, root_call="late", parent_call="late-parent", model="gpt-4o", tokens=tokens),
        call("late", start, root_call="late", model="gpt-4o-mini", tokens=tokens),
        call("lost-child", start + second, root_call="lost", parent_call="never", model="gpt-4o", tokens=tokens),
        call("lost", start, root_call="lost", model="gpt-4o-mini", tokens=tokens),
        call("egg", start, parent_call="hen", model="gpt-4o-mini", tokens=tokens),
        call("hen", start + second, parent_call="egg", model="gpt-4o", tokens=tokens),
    ]


def build_late_parent(start: datetime) -> bytes:
    """The parent that comes late; it hangs below the root."""
    return call("late-parent", start, root_call="late", parent_call="late", model="gpt-4o", tokens={"input": 400_000})


def build_long_session(start: datetime, count: int = 3_000) -> Iterator[bytes]:
    """A session in which a root causes tools, each third of which causes a summary. Call *n* has *n* + 1 tokens."""
    for number in range(count):
        parent = None if number == 0 else "long-0" if number % 3 else f"long-{number - 1}"
        tool = ("search", "summarize", "read")[number % 3] if number else None
        yield call(
            f"long-{number}", start + timedelta(seconds=number), session="s-long", agent="crawler", team="search",
            model="gpt-4o-mini", tool=tool, root_call="long-0", parent_call=parent, latency_ms=800,
            status="error" if number % 500 == 499 else "ok", tokens={"input": number + 1},
        )  # fmt: skip


def build_short_session(start: datetime) -> bytes:
    """A session of one call: $2.50."""
    return call("only", start, session="s-one", team="growth", model="gpt-4o", tokens={"input": 1_000_000})


def build_two_sessions(start: datetime) -> list[bytes]:
    """A call of a session that causes one of another: $2.50 each."""
    fields: dict[str, Any] = {"root_call": "caller", "model": "gpt-4o", "tokens": {"input": 1_000_000}}
    return [
        call("caller", start, **fields, session="s-caller"),
        call("callee", start + timedelta(seconds=1), **fields, session="s-callee", parent_call="caller"),
    ]


def build_hostile_call(start: datetime) -> bytes:
    """A call whose names would be read as HTML."""
    return call(
        "<b>id</b>", start, session=f"{MARKUP_NAME} & more", agent=MARKUP_NAME, tool="<img src=x onerror=alert(1)>",
        model="gpt-4o-mini", tokens={"input": 1_000},
    )  # fmt: skip


def observe(id: str, time: datetime, metric: str, value: str, **fields: Any) -> bytes:
    """What became known of a call (``of``) or of a session."""
    data = Observation.model_validate({"metric": metric, "value": value, "evaluator": "people", **fields})
    return ObservationEvent(id=id, source="people", time=time, data=data).canonical()
