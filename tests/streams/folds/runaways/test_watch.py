"""Runaways: an agent of a session that goes on and learns nothing new."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.log import Record
from ledger.log.topics import ALERTS
from streams.replay import replay
from tests.streams.build import DOCUMENTS, adopt, call, record

SILENT_S = 15 * 60


def list_alerts(*records: Record) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for topic, derived in replay([record(0, adopt()), *records], DOCUMENTS)
        if topic is ALERTS
        for line in derived.value.split(b"\n")
    ]


def build_call(at_s: float, letter: str, session: str = "s", agent: str = "researcher", number: int = 0) -> bytes:
    """A call of a tool for each letter; ``-`` is one of which nothing is known."""
    tool = {"tool": "grep", "tool_arguments_hash": letter, "tool_result_hash": letter} if letter != "-" else {}
    return call(f"{session}{agent}{number or at_s}", at_s, session=session, agent=agent, **tool)


def build_log(letters: str, start: int = 1, pause_s: float = 1) -> list[Record]:
    times = [pause_s * number for number in range(len(letters))]
    return [
        record(start + number, build_call(at_s, letter, number=start + number), at_s=at_s)
        for number, (at_s, letter) in enumerate(zip(times, letters, strict=True))
    ]


def list_states(alerts: Sequence[dict[str, Any]]) -> list[str]:
    return [alert["state"] for alert in alerts]


def test_four_in_a_row_raise_one_alert_with_its_evidence() -> None:
    raised, resolved = list_alerts(*build_log("aaaaaab"))
    assert (raised["state"], raised["repeats"], raised["agent"]) == ("raised", 4, "researcher")
    assert [event["id"] for event in raised["evidence"]] == ["sresearcher1", "sresearcher2", "sresearcher3"]
    assert raised["spent"] == {"USD": "4.000000000000"}
    assert (raised["tool"], raised["arguments_hash"], raised["result_hash"]) == ("grep", "a", "a")
    assert (resolved["state"], resolved["repeats"], resolved["reason"]) == ("resolved", 6, "another call")
    assert resolved["alert"] == raised["alert"]


def test_calls_of_which_nothing_is_known_neither_break_nor_count() -> None:
    assert list_states(list_alerts(*build_log("a-a-a-a"))) == ["raised"]
    assert list_alerts(*build_log("a-a-a")) == []


def test_silence_resolves_and_forgets() -> None:
    looped = build_log("aaaa")
    almost, silent = record(9, at_s=3 + SILENT_S - 1), record(9, at_s=3 + SILENT_S)
    assert list_states(list_alerts(*looped, almost)) == ["raised"]
    again = [made._replace(time_ms=silent.time_ms) for made in build_log("aaa", 10)]
    alerts = list_alerts(*looped, silent, *again)
    assert [(alert["state"], alert.get("reason")) for alert in alerts] == [("raised", None), ("resolved", "silent")]


def test_agents_of_a_session_are_apart() -> None:
    """Twelve agents that each run the tests once are no runaway, and one that loops is not hidden by the others."""
    names = [f"agent-{number}" for number in range(12)]
    lines = [build_call(number, "a", agent=name) for number, name in enumerate(names)]
    assert list_alerts(record(1, *lines)) == []
    mixed = [
        build_call(number, "a" if agent == "agent-3" else f"x{number}", agent=agent)
        for number in range(4)
        for agent in names
    ]
    assert [(alert["agent"], alert["repeats"]) for alert in list_alerts(record(1, *mixed))] == [("agent-3", 4)]


@pytest.mark.parametrize("pause_s", [60, 3_600])
def test_a_poll_is_no_runaway(pause_s: int) -> None:
    """It waits between two looks, and its prompt does not get longer."""
    assert list_alerts(*build_log("a" * 12, pause_s=pause_s)) == []


def test_a_slow_loop_is_found_by_its_prompt() -> None:
    records = [
        record(number, call(f"c{number}", 60 * number, session="s", tool="grep", tool_arguments_hash="a",
                            tool_result_hash="r", tokens={"cache_read": 1_000 * number}), at_s=60 * number)
        for number in range(1, 6)
    ]  # fmt: skip
    assert [(alert["detector"], alert["repeats"]) for alert in list_alerts(*records)] == [("repeated_tool", 4)]


@pytest.mark.parametrize("lines_per_record", [1, 3, 100])
def test_an_import_finds_what_was_found_live(lines_per_record: int) -> None:
    """Silence, haste and runs are of the events' own time: whenever they arrive, the same alerts are raised."""
    letters = "abcdaaaaab" * 3
    times = [number * (1 if number % 10 else 2_000) for number in range(len(letters))]
    lines = [
        build_call(at_s, letter, number=number + 1)
        for number, (at_s, letter) in enumerate(zip(times, letters, strict=True))
    ]
    live = list_alerts(
        *(record(1 + number, line, at_s=at_s) for number, (line, at_s) in enumerate(zip(lines, times, strict=True)))
    )
    batches = [lines[first : first + lines_per_record] for first in range(0, len(lines), lines_per_record)]
    imported = list_alerts(*(record(1 + number, *batch, at_s=10**6) for number, batch in enumerate(batches)))

    def list_raised(alerts: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return [
            (alert["since_us"], alert["last_us"], alert["repeats"], alert["spent"])
            for alert in alerts
            if alert["state"] == "raised"
        ]

    assert list_raised(live) == list_raised(imported) and len(list_raised(live)) >= 3


@given(st.text("ab-", max_size=30))
def test_an_alert_is_resolved_before_the_next_is_raised(letters: str) -> None:
    states = list_states(list_alerts(*build_log(letters)))
    assert states == ["raised", "resolved"] * (len(states) // 2) + ["raised"] * (len(states) % 2)
    longest = max(map(len, letters.replace("-", "").replace("ab", "a b").replace("ba", "b a").split(" ")))
    if longest >= 4:
        assert states
