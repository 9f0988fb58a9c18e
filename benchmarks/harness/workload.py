"""A log to measure with: one organization's calls from a seed, with budgets, sessions and tools."""

import random
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from ledger.log import Record
from ledger.pricing.genai_prices import genai_prices
from ledger.pricing.price_book import sealed
from tallystick import Control, ControlEvent, Inference, InferenceEvent

START = datetime(2026, 6, 1, tzinfo=UTC)
ORGANIZATION = "acme"
A_RECORD = 200


@cache
def documents() -> dict[str, bytes]:
    return dict([sealed(genai_prices())])


def trace(path: Path, lines: int) -> Path:
    """A file of Azure's kind, five calls a second."""
    with path.open("w") as file:
        file.write("TIMESTAMP,ContextTokens,GeneratedTokens\r\n")
        for at in range(lines):
            moment = START + timedelta(milliseconds=200 * at)
            file.write(f"{moment:%Y-%m-%d %H:%M:%S.%f}0,{1 + at * 7919 % 6000},{at * 31 % 500}\r\n")
    return path


def records(events: int, seed: int = 1, a_record: int = A_RECORD) -> list[Record]:
    """The decisions first (prices, three budgets), then the calls, so many a record, two seconds apart."""
    chance = random.Random(seed)
    (digest,) = documents()
    bodies: list[tuple[str, dict[str, object]]] = [("price_book.adopted", {"name": "genai-prices", "document": digest})]
    for dimension, scope, limit, window_s in (
        ("organization", ORGANIZATION, "200", 86400),
        ("team", "team-1", "5", 3600),
        ("agent", "agent-1", "1", 600),
    ):
        body: dict[str, object] = {
            "dimension": dimension,
            "scope": scope,
            "limit": limit,
            "currency": "USD",
            "window_s": window_s,
        }
        bodies.append(("budget.allocated", body))
    lines = [_control(at, control, body) for at, (control, body) in enumerate(bodies)]
    made = [_record(0, lines, a_record)]
    for offset in range(1, 1 + events // a_record):
        made.append(_record(offset, [_call(offset * a_record + at, chance) for at in range(a_record)], a_record))
    return made


def _record(offset: int, lines: list[bytes], a_record: int) -> Record:
    headers = {"organization": ORGANIZATION, "channel": "benchmark", "refused": "0"}
    time_ms = int(START.timestamp() * 1000) + (offset + 1) * a_record * 2000  # when its last call was made
    return Record(0, offset, time_ms, ORGANIZATION, headers, b"\n".join(lines))


def _control(at: int, control: str, body: dict[str, object]) -> bytes:
    data = Control.model_validate({"control": control, "body": body}, strict=False)
    return ControlEvent(id=f"control-{at}", source="benchmark", time=START, data=data).canonical()


def _call(at: int, chance: random.Random) -> bytes:
    used = {"input": 5000, "cache_read": 3000, "output": 500, "reasoning": 200}
    tool = {"tool": "grep", "tool_arguments_hash": chance.choice("abc"), "tool_result_hash": "r"}
    said = {
        "session": f"session-{chance.randrange(500)}",
        "agent": f"agent-{chance.randrange(4)}",
        "team": f"team-{chance.randrange(4)}",
        "project": "assistant",
        "feature": f"feature-{chance.randrange(9)}",
        "environment": "production",
        "user": f"p_{chance.randrange(1000):024x}",
        "key": "k1",
        "provider": "openai",
        "model": chance.choice(["gpt-4o", "gpt-4.1-mini"]),
        "status": "ok",
        "latency_ms": chance.randrange(5000),
        "tokens": {name: chance.randrange(1, most) for name, most in used.items()},
    }
    data = Inference.model_validate(said | (tool if chance.random() < 0.5 else {}))
    time = START + timedelta(seconds=2 * at + chance.random())
    return InferenceEvent(id=f"call-{at}", source="benchmark", time=time, data=data).canonical()
