"""Runaways: an agent of a session that goes on and learns nothing new."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.log import Record
from ledger.log.topics import ALERTS, ENTRIES, Topic
from streams.replay import replay
from tests.streams.build import DOCUMENTS, adopt, call, record

SILENT_S = 15 * 60
ARRIVAL_S = 20 * 60


def list_alerts(*records: Record) -> list[dict[str, Any]]:
    lines: dict[Topic, list[dict[str, Any]]] = {}
    for topic, derived in replay([record(0, adopt()), *records], DOCUMENTS):
        lines.setdefault(topic, []).extend(map(json.loads, derived.value.split(b"\n")))
    assert not [line for line in lines[ENTRIES] if line.get("reason") == "processing_error"]
    return lines.get(ALERTS, [])


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
    raised, resolved = list_alerts(*build_log("aaaaaabc"))
    assert (raised["state"], raised["repeats"], raised["agent"]) == ("raised", 4, "researcher")
    assert [event["id"] for event in raised["evidence"]] == ["sresearcher1", "sresearcher2", "sresearcher3"]
    assert raised["spent"] == {"USD": "4.000000000000"}
    assert (raised["tool"], raised["arguments_hash"], raised["result_hash"]) == ("grep", "a", "a")
    assert (raised["families"], raised["calls"]) == (["repetition"], 4)
    assert (resolved["state"], resolved["repeats"], resolved["reason"]) == ("resolved", 6, "new results")
    assert resolved["alert"] == raised["alert"]


def test_calls_of_which_nothing_is_known_neither_break_nor_count() -> None:
    assert list_states(list_alerts(*build_log("a-a-a-a"))) == ["raised"]
    assert list_alerts(*build_log("a-a-a")) == []


def test_silence_resolves_and_forgets() -> None:
    looped = build_log("aaaa")
    almost, silent = record(9, at_s=3 + ARRIVAL_S - 1), record(9, at_s=3 + ARRIVAL_S)
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


class DrawnCall(NamedTuple):
    """A call of a drawn log: seconds after the one before, by how much it arrives late, and what it brings."""

    gap_s: int
    delay_s: int
    letter: str
    agent: str


DRAWN_CALLS = st.lists(
    st.builds(
        DrawnCall, st.sampled_from([1, 1, 1, 5, 20, 60, 899, 900, 1_100, 1_300, 5_000]), st.integers(0, 280),
        st.sampled_from("aaaab-e"), st.sampled_from(["x", "x", "y"]),
    ),
    min_size=4, max_size=60,
)  # fmt: skip
FACTS = (
    "state", "severity", "families", "detector", "calls", "repeats", "spent", "per_hour", "projected", "since_us",
    "last_us", "reason",
)  # fmt: skip


def list_incidents(alerts: list[dict[str, Any]]) -> dict[str, list[tuple[Any, ...]]]:
    """What is told of each agent, in order, without where it stands on the log."""
    incidents: dict[str, list[tuple[Any, ...]]] = {}
    for alert in alerts:
        facts = [json.dumps(alert.get(name)) for name in FACTS]
        incidents.setdefault(alert["agent"], []).append((*facts, *(event["id"] for event in alert["evidence"])))
    return incidents


@given(DRAWN_CALLS, st.integers(1, 60))
def test_an_import_finds_what_was_found_live(calls: list[DrawnCall], lines_per_record: int) -> None:
    """Silence, haste and runs are of the events' own time: whenever they arrive, the same is told, but for what is past
    by then. Live, a call may arrive some minutes late."""
    at_s, arrived_s, lines, live = 0, 0, [], []
    for number, drawn in enumerate(calls, 1):
        at_s += drawn.gap_s
        arrived_s = max(arrived_s, at_s + drawn.delay_s)
        fields = {"status": "error", "error_code": "overloaded"} if drawn.letter == "e" else {}
        tool = {"tool": "grep", "tool_arguments_hash": drawn.letter, "tool_result_hash": drawn.letter}
        fields |= {} if drawn.letter == "-" else tool
        lines.append(call(f"c{number}", at_s, session="s", agent=drawn.agent, tokens={"input": 40_000}, **fields))
        live.append(record(number, lines[-1], at_s=arrived_s))
    end_s = at_s + 30 * 86_400
    batches = [lines[first : first + lines_per_record] for first in range(0, len(lines), lines_per_record)]
    imported = [record(number, *batch, at_s=end_s) for number, batch in enumerate(batches, 1)]
    ticks = [record(len(lines) + 1, at_s=end_s + 86_400)]
    told = list_alerts(*live, *ticks)
    told_of_import = list_alerts(*imported, *ticks)
    assert list_incidents(told) == list_incidents(told_of_import)
    assert all(alert["past"] for alert in told_of_import)
    assert not any(alert.get("past") for alert in told if alert["state"] != "resolved")


def test_a_second_family_makes_a_page() -> None:
    """A loop warns after four calls, and is a page once its prompt has grown over six."""
    records = [
        record(number, call(f"c{number}", 20 * number, session="s", tool="grep", tool_arguments_hash="a",
                            tool_result_hash="r", tokens={"cache_read": 1_000 * number}), at_s=20 * number)
        for number in range(1, 9)
    ]  # fmt: skip
    alerts = [
        (alert["state"], alert["severity"], alert["families"], alert.get("reason")) for alert in list_alerts(*records)
    ]
    assert alerts == [
        ("raised", "warning", ["repetition"], None),
        ("escalated", "page", ["growth", "repetition"], "growth too"),
    ]


def test_an_incident_is_told_again_as_its_cost_passes_powers_of_ten() -> None:
    """A dollar every nine seconds: the next hour would cost more than fifty, so it is a page at once."""
    alerts = list_alerts(*build_log("a" * 101, pause_s=9))
    assert [(alert["state"], alert.get("reason")) for alert in alerts] == [
        ("raised", None), ("escalated", "cost more than 10"), ("escalated", "cost more than 100"),
    ]  # fmt: skip
    assert {alert["severity"] for alert in alerts} == {"page"}
    assert alerts[0]["per_hour"] == {"USD": "240.000000000000"}
    assert alerts[0]["projected"] == {"USD": "244.000000000000"}


@pytest.mark.parametrize(
    "letters, states",
    [
        ("aaaabaaaa", ["raised"]),  # a single new thing
        ("aaaabaacaadaa", ["raised"]),  # and now and then another
        ("aaaabc", ["raised", "resolved"]),  # two in a row
        ("aaaabacad", ["raised", "resolved"]),  # every second call
    ],
)
def test_an_incident_outlasts_single_new_things(letters: str, states: list[str]) -> None:
    told = [state for state in list_states(list_alerts(*build_log(letters))) if state != "escalated"]
    assert told == states


@given(st.text("ab-", max_size=30))
def test_an_alert_is_resolved_before_the_next_is_raised(letters: str) -> None:
    states = list_states(list_alerts(*build_log(letters)))
    changes = [state for state in states if state != "escalated"]
    assert changes == ["raised", "resolved"] * (len(changes) // 2) + ["raised"] * (len(changes) % 2)
    assert not states or states[0] == "raised"
    longest = max(map(len, letters.replace("-", "").replace("ab", "a b").replace("ba", "b a").split(" ")))
    if longest >= 4:
        assert states
