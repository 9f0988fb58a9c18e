"""What people do about alerts: each record is answered, with both times, and with the reason where it has no effect."""

import json
from typing import Any

import pytest

from ledger.log import Record
from ledger.log.topics import ALERTS, DECISIONS
from streams.replay import replay
from tests.streams.build import DOCUMENTS, START, adopt, call, control, record

TOOL = {"tool": "grep", "tool_arguments_hash": "a", "tool_result_hash": "r"}
LOOP = [record(offset, call(f"c{offset}", offset, session="s1", **TOOL), at_s=offset) for offset in range(1, 9)]
PAST, LATER = "2026-01-05T11:00:00Z", "2026-01-05T14:00:00Z"
START_US = int(START.timestamp()) * 1_000_000


def list_lines(records: list[Record], wanted: object) -> list[dict[str, Any]]:
    derived = replay([record(0, adopt()), *records], DOCUMENTS)
    return [json.loads(line) for topic, made in derived if topic is wanted for line in made.value.split(b"\n")]


def answer(*controls: tuple[str, dict[str, Any]], log: list[Record] = LOOP) -> list[tuple[str, str | None]]:
    """Return decision and reason of each record, which come after an alert was raised. ``ALERT`` is its id."""
    (alert,) = (line["alert"] for line in list_lines(LOOP, ALERTS) if line["state"] == "raised")
    offset = log[-1].offset
    handling = [
        record(offset + number, handle(f"k{number}", name, 20 + number, _named(body, alert)), at_s=20 + number)
        for number, (name, body) in enumerate(controls, 1)
    ]
    lines = [line for line in list_lines([*log, *handling], DECISIONS) if line["event_id"].startswith("k")]
    return [(line["decision"], line.get("reason") and line["reason"].replace(alert, "ALERT")) for line in lines]


def handle(id: str, control_type: str, at_s: float, body: dict[str, Any]) -> bytes:
    """A record of handling; ``effective_at`` of the body is its own."""
    effective_at = body.pop("effective_at", None)
    line = json.loads(control(id, control_type, at_s, **body))
    line["data"] |= {} if effective_at is None else {"effective_at": effective_at}
    return json.dumps(line).encode()


def _named(body: dict[str, Any], alert: str) -> dict[str, Any]:
    return {name: alert if value == "ALERT" else value for name, value in body.items()}


ACKNOWLEDGE = ("alert.acknowledged", {"alert": "ALERT"})
RESOLVE = ("alert.resolved", {"alert": "ALERT"})
APPLIED = ("control.applied", None)
NOT_IN_FORCE = ("control.ineffective", "until is past, and no silence of this scope is in force")


def test_an_alert_is_acknowledged_and_resolved_once() -> None:
    assert answer(ACKNOWLEDGE, ACKNOWLEDGE, RESOLVE, RESOLVE, ACKNOWLEDGE) == [
        APPLIED,
        ("control.ineffective", "alert ALERT is acknowledged already"),
        APPLIED,
        ("control.ineffective", "alert ALERT is resolved already"),
        ("control.ineffective", "alert ALERT is resolved already"),
    ]


def test_the_last_label_holds() -> None:
    labels = [("alert.labeled", {"alert": "ALERT", "label": label}) for label in ("true", "true", "false")]
    assert answer(RESOLVE, *labels) == [
        APPLIED,
        APPLIED,
        ("control.ineffective", "alert ALERT has the label true already"),
        APPLIED,
    ]


def test_an_alert_that_ended_by_itself_cannot_be_resolved() -> None:
    silent = [*LOOP, record(9, at_s=3_600)]
    (decision, reason), *_ = answer(RESOLVE, log=silent)
    assert (decision, reason) == ("control.ineffective", "alert ALERT is resolved already")


@pytest.mark.parametrize(
    ("control_type", "body"),
    [
        ("alert.acknowledged", {}), ("alert.resolved", {}), ("alert.labeled", {"label": "true"}),
        ("alert.silenced", {"until": LATER}),
    ],
)  # fmt: skip
def test_an_unknown_alert_is_refused_with_the_way_out(control_type: str, body: dict[str, Any]) -> None:
    ((decision, reason),) = answer((control_type, {"alert": "9-9-9-none"} | body))
    assert decision == "control.ineffective"
    assert reason == "no alert 9-9-9-none of this organization: `tally alerts list --all` shows their ids"


def test_a_silence_is_ended_by_its_scope() -> None:
    search = {"team": "search"}
    assert answer(
        ("alert.silenced", search | {"until": LATER, "reason": "an upgrade"}),
        ("alert.silenced", {"until": PAST}),
        ("alert.silenced", search | {"until": PAST}),
        ("alert.silenced", search | {"until": PAST}),
    ) == [
        APPLIED,
        NOT_IN_FORCE,
        APPLIED,
        NOT_IN_FORCE,
    ]


def test_windows_to_come_stand_beside_a_silence() -> None:
    """The team is silent now and from 16 to 17 o'clock: ending one of the two leaves the other."""
    window = {"team": "search", "effective_at": "2026-01-05T16:00:00Z"}
    assert answer(
        ("alert.silenced", window | {"until": "2026-01-05T17:00:00Z"}),
        ("alert.silenced", {"team": "search", "until": LATER}),
        ("alert.silenced", {"team": "search", "until": PAST}),
        ("alert.silenced", {"team": "search", "until": PAST}),
        ("alert.silenced", window | {"until": PAST}),
        ("alert.silenced", window | {"until": PAST}),
    ) == [APPLIED, APPLIED, APPLIED, NOT_IN_FORCE, APPLIED, NOT_IN_FORCE]


def test_windows_of_a_scope_are_bounded() -> None:
    days = [f"2026-{month:02}-{day:02}" for month in range(2, 5) for day in range(1, 29)]
    windows = [{"effective_at": f"{day}T01:00:00Z", "until": f"{day}T02:00:00Z"} for day in days[:66]]
    answers = answer(*(("alert.silenced", window) for window in windows))
    refused = ("control.ineffective", "this scope has 64 windows already")
    assert answers == [APPLIED] * 64 + [refused] * 2


def test_a_silence_that_ran_out_is_forgotten() -> None:
    silenced = record(9, control("k0", "alert.silenced", 10, until="2026-01-05T12:01:00Z"), at_s=10)
    log = [*LOOP, silenced, record(10, at_s=3_600)]
    assert answer(("alert.silenced", {"until": PAST}), log=log) == [
        APPLIED,
        NOT_IN_FORCE,
    ]


def test_the_answer_has_the_body_its_author_and_both_times() -> None:
    line = json.loads(control("k1", "alert.silenced", 20, until=LATER, team="search"))
    line["data"] |= {"actor": "p_ann", "reason": "an upgrade", "effective_at": "2026-01-05T13:00:00Z"}
    decisions = list_lines([*LOOP, record(9, json.dumps(line).encode(), at_s=20)], DECISIONS)
    (decision,) = [decision for decision in decisions if decision["event_id"] == "k1"]
    assert json.loads(decision["body"]) == {
        "until": "2026-01-05T14:00:00.000000Z", "team": "search", "actor": "p_ann", "reason": "an upgrade",
    }  # fmt: skip
    assert decision["effective_us"] == START_US + 3_600_000_000 and decision["known_us"] == START_US + 20_000_000
    assert decision["control_type"] == "alert.silenced"
