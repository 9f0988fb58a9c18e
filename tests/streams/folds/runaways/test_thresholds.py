"""Adopted rules judge what comes after them."""

import json
from typing import Any

import pytest

from ledger.log import Record
from ledger.log.topics import ALERTS
from ledger.runaway_rules import Thresholds, pack_rules, parse_rules
from streams.replay import replay
from tests.streams.build import DOCUMENTS, adopt, call, control, record


def build_loop(first: int, calls: int, session: str = "s", cost_tokens: int = 1_000, **fields: Any) -> list[Record]:
    """Build a loop of one call every second, of so many input tokens each."""
    tool = {"tool": "grep", "tool_arguments_hash": "a", "tool_result_hash": "r"}
    return [
        record(
            number, call(f"{session}{number}", number, session=session, agent="x", tokens={"input": cost_tokens},
                         **(tool | fields)), at_s=number,
        )
        for number in range(first, first + calls)
    ]  # fmt: skip


def list_told(*parts: Record | str | list[Record]) -> list[tuple[str, str, str, str]]:
    """Fold records, and rules as texts in between: session, detector, state and severity of each alert."""
    records, documents = [record(0, adopt())], dict(DOCUMENTS)
    for part in parts:
        if isinstance(part, str):
            digest, packed = pack_rules(parse_rules(part, "the test"))
            documents[digest] = packed
            line = control(f"rules{len(records)}", "rules.adopted", name="runaways", document=digest)
            records.append(record(0, line)._replace(time_ms=records[-1].time_ms))
        else:
            records += [part] if isinstance(part, Record) else part
    numbered = [made._replace(offset=offset) for offset, made in enumerate(records)]
    lines = [
        json.loads(line)
        for topic, derived in replay(numbered, documents)
        if topic is ALERTS
        for line in derived.value.split(b"\n")
    ]
    return [(line["session"], line["detector"], line["state"], line["severity"]) for line in lines]


def test_a_threshold_holds_from_its_adoption_on() -> None:
    told = list_told(
        build_loop(1, 3, "before"), "{detectors: {repeated_tool: 2}}", build_loop(10, 2, "after"),
        "{detectors: {repeated_tool: 6}}", build_loop(20, 5, "late"),
    )  # fmt: skip
    assert told == [("after", "repeated_tool", "raised", "warning")]


@pytest.mark.parametrize("name", ["repeated_tool", "repeated_error"])
def test_a_detector_that_is_off_finds_nothing(name: str) -> None:
    fields: dict[str, Any] = {"status": "error", "error_code": "overloaded"} if name == "repeated_error" else {}
    loop = build_loop(1, 30, **fields)
    assert [detector for _, detector, *_ in list_told(loop)] == [name]
    assert list_told(f"{{detectors: {{{name}: off}}}}", loop) == []


def test_the_limit_of_a_page_is_that_of_the_rules() -> None:
    """Four calls of a dollar within a minute: the next hour would cost 240 dollars."""
    loop = build_loop(1, 4, cost_tokens=1_000_000)
    (_, _, _, page), (_, _, _, warning) = list_told(loop)[0], list_told("{page_above: 100000}", loop)[0]
    assert (page, warning) == ("page", "warning")


def test_what_was_told_goes_on_under_new_rules() -> None:
    """A detector that is switched off ends no incident that it opened."""
    loop = build_loop(1, 6)
    told = list_told(loop, "{detectors: {repeated_tool: off}}", build_loop(10, 3))
    assert [state for *_, state, _ in told] == ["raised"]


def test_the_default_rules_change_nothing() -> None:
    loop = build_loop(1, 9)
    assert list_told(f"{{detectors: {{repeated_tool: {Thresholds().repeated_tool}}}}}", loop) == list_told(loop)
