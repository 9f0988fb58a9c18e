"""The calls of one session, from a seed: completions, conversations with a cache, agents with a call tree."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tally.demo.lengths import CHAT_INPUT, CHAT_OUTPUT, CODE_INPUT, CODE_OUTPUT, draw_length
from tally.demo.organization import (
    CUSTOMERS,
    FALLBACKS,
    OWN_KEY,
    PLANS,
    REASONING,
    REGIONS,
    SERVICE_TIERS,
    SURFACES,
    TOOLS,
    USERS,
    Workload,
)

Event = dict[str, Any]

STUCK_SHARE = 0.02
"""Share of agents' sessions that get stuck on one tool."""
ERROR_SHARE = 0.015


def make_session(
    work: Workload, name: str, source: str, start: datetime, chance: Random, stuck: bool = False
) -> list[Event]:
    """Make the events of a session in the order of time. Their ids begin with its name. With ``stuck`` an agent gets
    stuck; some do without."""
    data = _choose_dimensions(work, chance)
    if work.kind == "completion":
        steps: Iterator[Event] = iter([_completion(work, chance)])
    elif work.kind == "chat":
        steps = _chat(work, chance)
    else:
        steps = _agent(work, stuck or chance.random() < STUCK_SHARE, chance)
    events: list[Event] = []
    moment, root = start, f"{name}-0"
    for index, step in enumerate(steps):
        if work.kind != "completion":
            data |= {"session": name, "root_call": root} | ({"parent_call": root} if index else {})
        moment += timedelta(seconds=chance.uniform(1, 20))
        events += _make_attempts(work, data | step, f"{name}-{index}", source, moment, chance)
    return events


def _choose_dimensions(work: Workload, chance: Random) -> dict[str, Any]:
    data: dict[str, Any] = {
        "team": work.team,
        "project": work.project,
        "feature": work.feature,
        "environment": "production" if chance.random() < 0.9 else "staging",
        "provider": work.provider,
        "model": work.model,
        "provider_account": f"{work.provider}-main",
        "key": f"key-{work.project}",
        "payer": "platform",
        "ingress": "gateway",
        "purpose": "batch" if work.by_night else "production",
    }
    tags = {}
    if work.feature in SURFACES:
        tags["surface"] = SURFACES[work.feature]
    if work.feature in SERVICE_TIERS:
        data["service_tier"] = SERVICE_TIERS[work.feature]
    if work.provider in REGIONS:
        data["region"] = REGIONS[work.provider]
    if work.agent:
        data |= {"agent": work.agent, "agent_version": "3"}
    if work.customers:
        customer = chance.randrange(CUSTOMERS)
        data["customer"] = f"customer-{customer}"
        tags["plan"] = PLANS[customer % len(PLANS)]
        if data["customer"] == OWN_KEY:
            data |= {"payer": "customer", "key": f"key-{OWN_KEY}", "provider_account": OWN_KEY}
    else:
        data["user"] = f"user-{chance.randrange(USERS)}"
    return data | ({"tags": tags} if tags else {})


def _completion(work: Workload, chance: Random) -> Event:
    input_tokens, output_tokens = draw_length(CODE_INPUT, chance), draw_length(CODE_OUTPUT, chance)
    return {"operation": "chat", "tokens": _split(work, input_tokens, 0, output_tokens, chance)}


def _chat(work: Workload, chance: Random) -> Iterator[Event]:
    """Each turn sends the whole conversation again: what was sent before comes from the cache."""
    input_tokens, cached_tokens = draw_length(CHAT_INPUT, chance), 0
    for _ in range(chance.randint(1, 6)):
        output_tokens = draw_length(CHAT_OUTPUT, chance)
        yield {"operation": "chat", "tokens": _split(work, input_tokens, cached_tokens, output_tokens, chance)}
        input_tokens, cached_tokens = input_tokens + output_tokens + chance.randint(20, 400), input_tokens


def _agent(work: Workload, stuck: bool, chance: Random) -> Iterator[Event]:
    """Each step calls a tool and reads its result; a stuck one repeats the same call until somebody looks."""
    input_tokens, cached_tokens = 18_000 + draw_length(CHAT_INPUT, chance), 0
    steps = chance.randint(6, 24)
    stuck_at = chance.randrange(1, steps) if stuck else None
    for index in range(steps):
        tool, question = chance.choice(TOOLS), f"{chance.random()}"
        for repeat in range(chance.randint(8, 30) if index == stuck_at else 1):
            output_tokens = draw_length(CHAT_OUTPUT, chance) + 40
            yield {
                "operation": "chat",
                "tool": tool,
                "tool_arguments_hash": _hash(question),
                "tool_result_hash": _hash(question + "?"),
                "tokens": _split(work, input_tokens, cached_tokens, output_tokens, chance),
                "output_mode": "tool",
                "attempt": repeat + 1,
            }
            input_tokens, cached_tokens = input_tokens + output_tokens + chance.randint(400, 9000), input_tokens


def _split(work: Workload, input_tokens: int, cached_tokens: int, output_tokens: int, chance: Random) -> dict[str, int]:
    """Split tokens into disjoint classes, with the cache classes of the provider."""
    tokens = {"input": input_tokens - cached_tokens, "cache_read": cached_tokens, "output": output_tokens}
    if work.provider == "anthropic" and cached_tokens:
        tokens |= {"input": 4, "cache_write_5m": max(input_tokens - cached_tokens - 4, 0)}
    if work.model in REASONING:
        tokens["reasoning"] = round(output_tokens * chance.uniform(0.2, 2))
    return {name: count for name, count in tokens.items() if count}


def _make_attempts(
    work: Workload, data: Event, id: str, source: str, moment: datetime, chance: Random
) -> Iterator[Event]:
    """Yield a call, now and then after a failed attempt, and with another model as fallback."""
    if chance.random() < ERROR_SHARE:
        failed = {key: value for key, value in data.items() if key != "tokens"}
        failed |= {"status": "error", "error_origin": "provider", "error_code": "overloaded", "usage_source": "missing"}
        yield _event(failed | {"attempt": 1, "latency_ms": chance.randint(50, 900)}, f"{id}-failed", source, moment)
        data = data | {"attempt": 2, "retry_of": f"{id}-failed"}
        if work.model in FALLBACKS and chance.random() < 0.5:
            provider, model = FALLBACKS[work.model]
            data |= {
                "provider": provider,
                "model": model,
                "region": REGIONS[provider],
                "fallback_of": f"{id}-failed",
                "role": "fallback",
            }
            data["fallback_reason"] = "overloaded"
            data["tokens"] = {"input": sum(data["tokens"].values()), "output": data["tokens"].get("output", 1)}
        moment += timedelta(seconds=2)
    output_tokens = data["tokens"].get("output", 0) + data["tokens"].get("reasoning", 0)
    data = data | {
        "status": "ok",
        "finish_reason": "stop",
        "usage_source": "reported",
        "latency_ms": round(200 + output_tokens * chance.uniform(8, 25)),
        "time_to_first_token_ms": round(150 + chance.uniform(0, 600)),
    }
    yield _event(data, id, source, moment)


def _event(data: dict[str, Any], id: str, source: str, moment: datetime) -> Event:
    time = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return {"id": id, "source": source, "type": "tallystick.inference.v1", "time": time, "data": data}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
