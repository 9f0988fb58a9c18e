"""Folders of session files: which files are read, in which order, and that copies and growth add nothing twice."""

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from ingest.files.importer import Options, Summary, import_files
from ingest.files.plan import plan_import
from ingest.intake.intake import Intake
from ledger.errors import TallyError
from ledger.settings import Settings
from tests.ingest.build import Kept

USAGE = {"input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


def answer(id: str, output: int, session: str = "s", **fields: Any) -> dict[str, Any]:
    message = {
        "id": id, "model": "claude-sonnet-4-5-20250929", "stop_reason": None, "usage": USAGE | {"output_tokens": output}
    }  # fmt: skip
    line = {"type": "assistant", "sessionId": session, "uuid": f"{id}-{output}", "requestId": f"r-{id}"}
    return line | {"timestamp": "2026-11-02T09:00:00.000Z", "message": message} | fields


def write(path: Path, *lines: dict[str, Any], time_s: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.utime(path, (time_s, time_s))
    return path


def import_into(home: Path, *paths: Path, **options: Any) -> tuple[Summary, Kept]:
    log = Kept()
    return import_files(log, Settings(home=home), paths, Options(**options)), log


def outputs(log: Kept) -> dict[str, int]:
    return {event["id"]: event["data"]["tokens"]["output"] for event in log.events}


def test_a_folder_is_read_as_it_lies_and_a_copy_adds_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    write(folder / "b-app" / "s1.jsonl", answer("m1", 1), answer("m1", 310), answer("m2", 20), time_s=100)
    write(folder / "a-app" / "s2.jsonl", answer("m1", 310, "s2"), answer("m3", 5, "s2"), time_s=200)  # a resumed copy
    write(folder / "a-app" / "sub" / "agent-1.jsonl", answer("m4", 7), time_s=300)
    write(folder / "a-app" / "notes.jsonl", {"a": 1})
    (folder / "a-app" / "empty.jsonl").touch()
    (folder / "a-app" / "readme.txt").write_text("no session")
    summary, log = import_into(tmp_path / "home", folder)
    assert outputs(log) == {"m1,r-m1": 310, "m2,r-m2": 20, "m3,r-m3": 5, "m4,r-m4": 7}
    assert [event["data"]["session"] for event in log.events] == ["s", "s", "s2", "s"], "the older file is the original"
    assert sorted(path.name for path in summary.skipped_files) == ["empty.jsonl", "notes.jsonl"]
    assert summary.accepted == 4 and sum(file.skipped for file in summary.files) == 2, "one part, one copy"
    assert import_into(tmp_path / "home", folder)[1].lines == log.lines


def test_a_session_that_grows_has_a_greater_revision(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", answer("m1", 1))
    _, before = import_into(tmp_path / "home", path)
    write(path, answer("m1", 1), answer("m1", 310), answer("m1", 310, timestamp="2026-11-02T09:00:09.000Z"))
    _, after = import_into(tmp_path / "home", path)
    (first,), (second,) = before.events, after.events
    assert first["id"] == second["id"] and first["time"] == second["time"]
    assert second["data"]["revision"] > first["data"]["revision"] and outputs(after) == {"m1,r-m1": 310}


def test_answers_of_more_files_than_are_remembered_still_count_once(tmp_path: Path) -> None:
    """An answer whose lines lie far apart is sent twice, the later with a greater revision."""
    others = [answer(f"other-{number}", 2) for number in range(1_500)]
    path = write(tmp_path / "s.jsonl", answer("m1", 1), *others, answer("m1", 310))
    _, log = import_into(tmp_path / "home", path)
    revisions = [event["data"]["revision"] for event in log.events if event["id"] == "m1,r-m1"]
    assert len(revisions) == 2 and revisions == sorted(set(revisions))
    assert len(log.lines) == 1_502


def test_what_is_planned_of_a_folder_does_not_grow_with_its_files(tmp_path: Path) -> None:
    for number in range(20):
        others = [{"type": "user", "sessionId": "s", "uuid": "u", "text": "x" * 10_000}] * 40
        write(tmp_path / "projects" / f"{number}.jsonl", *others, answer(f"m{number}", 1))
    tracemalloc.start()
    try:
        plans, _ = plan_import([tmp_path / "projects"], Options(), Intake("key"))
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(plans) == 20 and held_bytes < 1 << 20, "20 files of 400 KB"


def test_both_agents_lie_in_one_import(tmp_path: Path) -> None:
    codex = Path(__file__).parents[1] / "adapters" / "golden" / "codex"
    write(tmp_path / "projects" / "s.jsonl", answer("m1", 310))
    summary, log = import_into(tmp_path / "home", tmp_path / "projects", codex)
    assert {event["source"] for event in log.events} == {"claude-code", "codex"}
    assert [file.format for file in summary.files] == ["claude-code", "codex", "codex"]


def test_lines_without_usage_may_have_any_length(tmp_path: Path) -> None:
    picture = {"type": "user", "message": {"content": "x" * (2 << 20)}}
    write(tmp_path / "sessions" / "s.jsonl", picture, answer("m1", 3), picture, answer("m2", 4))
    summary, log = import_into(tmp_path / "home", tmp_path / "sessions")
    assert outputs(log) == {"m1,r-m1": 3, "m2,r-m2": 4} and summary.rejected == 0


def test_the_host_of_the_models_stands_in_the_ids_of_messages(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", answer("msg_bdrk_1", 3), answer("msg_vrtx_1", 3), answer("msg_01", 3))
    _, log = import_into(tmp_path / "home", path)
    assert [event["data"]["provider"] for event in log.events] == ["aws.bedrock", "gcp.vertex_ai", "anthropic"]


def test_a_folder_without_sessions_names_those_that_have_some(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TallyError, match=r"holds no session files.*~/.claude/projects"):
        import_into(tmp_path / "home", tmp_path / "empty")
