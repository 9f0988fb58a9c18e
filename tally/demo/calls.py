"""The calls of one session, from a seed: completions, conversations with a cache, agents with a call tree."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tally.demo.lengths import CHAT_INPUT, CHAT_OUTPUT, CODE_INPUT, CODE_OUTPUT, drawn
from tally.demo.organization import CUSTOMERS, FALLBACKS, OWN_KEY, REASONING, TOOLS, USERS, Workload

Event = dict[str, Any]

LOOPS = 0.02
"""How many agents' sessions get stuck on one tool."""
ERRORS = 0.015


def session(
    work: Workload, name: str, source: str, start: datetime, chance: Random, stuck: bool = False
) -> list[Event]:
    """The events of a session in the order of time. Its name makes its identities. An agent may be told to get
    stuck; some do by themselves."""
    said = _who(work, chance)
    if work.kind == "completion":
        steps: Iterator[Event] = iter([_completion(work, chance)])
    elif work.kind == "chat":
        steps = _chat(work, chance)
    else:
        steps = _agent(work, stuck or chance.random() < LOOPS, chance)
    events: list[Event] = []
    moment, root = start, f"{name}-0"
    for at, step in enumerate(steps):
        if work.kind != "completion":
            said |= {"session": name, "root_call": root} | ({"parent_call": root} if at else {})
        moment += timedelta(seconds=chance.uniform(1, 20))
        events += _answered(work, said | step, f"{name}-{at}", source, moment, chance)
    return events


def _who(work: Workload, chance: Random) -> dict[str, Any]:
    said: dict[str, Any] = {
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
    }
    if work.agent:
        said |= {"agent": work.agent, "agent_version": "3"}
    if work.customers:
        said["customer"] = f"customer-{chance.randrange(CUSTOMERS)}"
        if said["customer"] == OWN_KEY:
            said |= {"payer": "customer", "key": f"key-{OWN_KEY}", "provider_account": OWN_KEY}
    else:
        said["user"] = f"user-{chance.randrange(USERS)}"
    return said


def _completion(work: Workload, chance: Random) -> Event:
    given, made = drawn(CODE_INPUT, chance), drawn(CODE_OUTPUT, chance)
    return {"operation": "chat", "tokens": _split(work, given, 0, made, chance)}


def _chat(work: Workload, chance: Random) -> Iterator[Event]:
    """Each turn sends the whole conversation again: what was sent before comes from the cache."""
    given, before = drawn(CHAT_INPUT, chance), 0
    for _ in range(chance.randint(1, 6)):
        made = drawn(CHAT_OUTPUT, chance)
        yield {"operation": "chat", "tokens": _split(work, given, before, made, chance)}
        given, before = given + made + chance.randint(20, 400), given


def _agent(work: Workload, stuck: bool, chance: Random) -> Iterator[Event]:
    """Each step calls a tool and reads its result; a stuck one repeats the same call until somebody looks."""
    given, before = 18_000 + drawn(CHAT_INPUT, chance), 0
    steps = chance.randint(6, 24)
    stuck_at = chance.randrange(1, steps) if stuck else None
    for at in range(steps):
        tool, question = chance.choice(TOOLS), f"{chance.random()}"
        for again in range(chance.randint(8, 30) if at == stuck_at else 1):
            made = drawn(CHAT_OUTPUT, chance) + 40
            yield {
                "operation": "chat",
                "tool": tool,
                "tool_arguments_hash": _hash(question),
                "tool_result_hash": _hash(question + "?"),
                "tokens": _split(work, given, before, made, chance),
                "output_mode": "tool",
                "attempt": again + 1,
            }
            given, before = given + made + chance.randint(400, 9000), given


def _split(work: Workload, given: int, cached: int, made: int, chance: Random) -> dict[str, int]:
    """Disjoint classes of what was sent and made, with the cache in the words of the provider."""
    tokens = {"input": given - cached, "cache_read": cached, "output": made}
    if work.provider == "anthropic" and cached:
        tokens |= {"input": 4, "cache_write_5m": max(given - cached - 4, 0)}
    if work.model in REASONING:
        tokens["reasoning"] = round(made * chance.uniform(0.2, 2))
    return {name: count for name, count in tokens.items() if count}


def _answered(work: Workload, said: Event, id: str, source: str, moment: datetime, chance: Random) -> Iterator[Event]:
    """The call; now and then a failed attempt before it, and another model that took over."""
    if chance.random() < ERRORS:
        failed = {key: value for key, value in said.items() if key != "tokens"}
        failed |= {"status": "error", "error_origin": "provider", "error_code": "overloaded", "usage_source": "missing"}
        yield _event(failed | {"attempt": 1, "latency_ms": chance.randint(50, 900)}, f"{id}-failed", source, moment)
        said = said | {"attempt": 2, "retry_of": f"{id}-failed"}
        if work.model in FALLBACKS and chance.random() < 0.5:
            provider, model = FALLBACKS[work.model]
            said |= {"provider": provider, "model": model, "fallback_of": f"{id}-failed", "role": "fallback"}
            said["fallback_reason"] = "overloaded"
            said["tokens"] = {"input": sum(said["tokens"].values()), "output": said["tokens"].get("output", 1)}
        moment += timedelta(seconds=2)
    made = said["tokens"].get("output", 0) + said["tokens"].get("reasoning", 0)
    said = said | {
        "status": "ok",
        "finish_reason": "stop",
        "usage_source": "reported",
        "latency_ms": round(200 + made * chance.uniform(8, 25)),
        "time_to_first_token_ms": round(150 + chance.uniform(0, 600)),
    }
    yield _event(said, id, source, moment)


def _event(data: dict[str, Any], id: str, source: str, moment: datetime) -> Event:
    time = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return {"id": id, "source": source, "type": "tallystick.inference.v1", "time": time, "data": data}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
