"""Runaways: the same tool, arguments and result three times in a row in a session."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.log import Record
from ledger.log.topics import ALERTS
from streams.replay import replay
from tests.streams.build import DOCUMENTS, adopt, call, record

SILENT_S = 15 * 60


def alerts(*records: Record) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for topic, derived in replay([record(0, adopt()), *records], DOCUMENTS)
        if topic is ALERTS
        for line in derived.value.split(b"\n")
    ]


def step(at: int, letter: str, session: str = "s") -> bytes:
    tool = {"tool": "grep", "tool_arguments_hash": letter, "tool_result_hash": "r"} if letter != "-" else {}
    return call(f"{session}{at}", at, session=session, agent="researcher", **tool)


def run(letters: str, start: int = 1) -> list[Record]:
    return [record(start + at, step(start + at, letter), at_s=at) for at, letter in enumerate(letters)]


def test_three_in_a_row_raise_one_alert_with_its_evidence() -> None:
    raised, resolved = alerts(*run("aaaaab"))
    assert (raised["state"], raised["repeats"], raised["agent"]) == ("raised", 3, "researcher")
    assert [one["id"] for one in raised["evidence"]] == ["s1", "s2", "s3"]
    assert raised["spent"] == {"USD": "3.000000000000"}
    assert (resolved["state"], resolved["repeats"], resolved["reason"]) == ("resolved", 5, "another call")
    assert resolved["alert"] == raised["alert"]


def test_calls_without_a_tool_neither_break_nor_count() -> None:
    assert [one["state"] for one in alerts(*run("a-a-a"))] == ["raised"]
    assert alerts(*run("a-a")) == []


def test_silence_resolves_and_forgets() -> None:
    looped = run("aaa")
    almost = record(9, at_s=2 + SILENT_S - 1)
    silent = record(9, at_s=2 + SILENT_S)
    assert [one["state"] for one in alerts(*looped, almost)] == ["raised"]
    found = alerts(*looped, silent, *[one._replace(time_ms=silent.time_ms) for one in run("aa", 10)])
    assert [(one["state"], one.get("reason")) for one in found] == [("raised", None), ("resolved", "silent")]


def test_sessions_are_apart() -> None:
    mixed = [record(at, step(at, "a", f"s{at % 2}"), at_s=at) for at in range(1, 5)]
    assert alerts(*mixed) == []


@given(st.text("ab-", max_size=30))
def test_alerts_are_the_runs_of_three_or_more(letters: str) -> None:
    said = letters.replace("-", "")
    runs = [piece for piece in said.replace("ab", "a b").replace("ba", "b a").split(" ") if len(piece) >= 3]
    assert sum(one["state"] == "raised" for one in alerts(*run(letters))) == len(runs)
