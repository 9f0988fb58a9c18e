"""Lines of session files: a field that does not fit, or a text that was cut within a character, costs no call."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.adapters.test_row_sources import read

FOLDER = Path(__file__).parent / "golden"
ANSWER: dict[str, Any] = {
    "type": "assistant", "sessionId": "s-1", "uuid": "u-1", "requestId": "req-1", "version": "2.1.0", "costUSD": 0.02,
    "timestamp": "2026-11-02T09:00:04.100Z",
    "message": {"id": "msg-1", "model": "claude-sonnet-4-5", "stop_reason": "end_turn", "content": [],
                "usage": {"input_tokens": 10, "output_tokens": 5}},
}  # fmt: skip
OTHER_TYPES: list[Any] = [12345, 1.5, True, None, "", "x" * 300, [], ["a"], {}, {"a": 1}]


def read_line(folder: Path, line: bytes) -> list[dict[str, Any]]:
    path = folder / "claude-code" / "session.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(line + b"\n")
    events: list[dict[str, Any]] = read(path)["events"]
    return events


@pytest.mark.parametrize("value", OTHER_TYPES, ids=repr)
@pytest.mark.parametrize("name", ["sessionId", "uuid", "requestId", "version", "costUSD", "forkedFrom"])
def test_a_field_of_another_type_costs_no_call(tmp_path: Path, name: str, value: Any) -> None:
    (event,) = read_line(tmp_path, json.dumps(ANSWER | {name: value}).encode())
    assert event["data"]["tokens"] == {"input": 10, "output": 5}


@pytest.mark.parametrize("value", OTHER_TYPES, ids=repr)
@pytest.mark.parametrize("name", ["id", "model", "stop_reason"])
def test_a_field_of_the_message_of_another_type_costs_no_call(tmp_path: Path, name: str, value: Any) -> None:
    (event,) = read_line(tmp_path, json.dumps(ANSWER | {"message": ANSWER["message"] | {name: value}}).encode())
    assert event["data"]["tokens"] == {"input": 10, "output": 5}


def test_a_text_that_was_cut_within_a_character_costs_no_call(tmp_path: Path) -> None:
    line = json.dumps(ANSWER | {"message": ANSWER["message"] | {"content": [{"text": "cut \ud83d"}]}})
    (event,) = read_line(tmp_path, line.encode())
    assert event["data"]["tokens"] == {"input": 10, "output": 5}


@pytest.mark.parametrize("value", OTHER_TYPES, ids=repr)
@pytest.mark.parametrize("name", ["id", "timestamp", "cli_version", "model_provider", "forked_from_id"])
def test_a_field_of_codex_of_another_type_costs_no_call(tmp_path: Path, name: str, value: Any) -> None:
    path = tmp_path / "codex" / "session.jsonl"
    path.parent.mkdir()
    lines = (FOLDER / "codex" / "session.jsonl").read_text().splitlines()
    documents = [json.loads(line) for line in lines]
    calls = len(read(FOLDER / "codex" / "session.jsonl")["events"])
    (meta,) = [document for document in documents if document["type"] == "session_meta"]
    meta["payload"][name] = value
    path.write_text("\n".join(map(json.dumps, documents)) + "\n")
    assert len(read(path)["events"]) == calls
