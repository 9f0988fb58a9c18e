"""The workload: one organization's calls from a seed, with budgets, sessions and tools."""

import random
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from ledger.log import Record
from ledger.pricing.genai_prices import genai_prices
from ledger.pricing.price_book import pack_book
from tallystick import Control, ControlEvent, Inference, InferenceEvent

START = datetime(2026, 6, 1, tzinfo=UTC)
ORGANIZATION = "acme"
EVENTS_PER_RECORD = 200


@cache
def build_documents() -> dict[str, bytes]:
    return dict([pack_book(genai_prices())])


def write_trace(path: Path, lines: int) -> Path:
    """Write a file in the format of the Azure trace, with five calls a second."""
    with path.open("w") as file:
        file.write("TIMESTAMP,ContextTokens,GeneratedTokens\r\n")
        for index in range(lines):
            moment = START + timedelta(milliseconds=200 * index)
            file.write(f"{moment:%Y-%m-%d %H:%M:%S.%f}0,{1 + index * 7919 % 6000},{index * 31 % 500}\r\n")
    return path


def build_records(events: int, seed: int = 1, events_per_record: int = EVENTS_PER_RECORD) -> list[Record]:
    """Build the control records (prices, three budgets), then the calls, two seconds apart."""
    chance = random.Random(seed)
    (digest,) = build_documents()
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
    lines = [_build_control(index, control, body) for index, (control, body) in enumerate(bodies)]
    log_records = [_build_record(0, lines, events_per_record)]
    for offset in range(1, 1 + events // events_per_record):
        log_records.append(
            _build_record(
                offset,
                [_build_call(offset * events_per_record + index, chance) for index in range(events_per_record)],
                events_per_record,
            )
        )
    return log_records


def _build_record(offset: int, lines: list[bytes], events_per_record: int) -> Record:
    headers = {"organization": ORGANIZATION, "channel": "benchmark", "refused": "0"}
    time_ms = int(START.timestamp() * 1000) + (offset + 1) * events_per_record * 2000  # when its last call was made
    return Record(0, offset, time_ms, ORGANIZATION, headers, b"\n".join(lines))


def _build_control(number: int, control: str, body: dict[str, object]) -> bytes:
    data = Control.model_validate({"control": control, "body": body}, strict=False)
    return ControlEvent(id=f"control-{number}", source="benchmark", time=START, data=data).canonical()


def _build_call(number: int, chance: random.Random) -> bytes:
    max_tokens = {"input": 5000, "cache_read": 3000, "output": 500, "reasoning": 200}
    tool = {"tool": "grep", "tool_arguments_hash": chance.choice("abc"), "tool_result_hash": "r"}
    properties = {
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
        "tokens": {name: chance.randrange(1, limit) for name, limit in max_tokens.items()},
    }
    data = Inference.model_validate(properties | (tool if chance.random() < 0.5 else {}))
    time = START + timedelta(seconds=2 * number + chance.random())
    return InferenceEvent(id=f"call-{number}", source="benchmark", time=time, data=data).canonical()
