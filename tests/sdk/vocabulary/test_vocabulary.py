"""The vocabulary: strict, canonical, and published as it is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tallystick import ANY_EVENT
from tests.rules.test_rules import by_folds
from tests.streams.build import record

SCHEMA = Path(__file__).parents[3] / "sdk" / "schema" / "event.v1.json"


def event(kind: str = "inference", **fields: Any) -> bytes:
    defaults = {
        "id": "1",
        "source": "s",
        "type": f"tallystick.{kind}.v1",
        "time": "2026-01-01T00:00:00Z",
        "data": {},
    }
    return json.dumps(defaults | fields).encode()


def test_the_published_schema_is_the_vocabularys() -> None:
    """Run this where the test fails: ``python -m tallystick > sdk/schema/event.v1.json``."""
    printed = subprocess.run([sys.executable, "-m", "tallystick"], capture_output=True, text=True, check=True)
    assert SCHEMA.read_text() == printed.stdout


def test_absent_is_left_out_and_order_does_not_matter() -> None:
    first = event(data={"model": "m", "tokens": {"output": 2, "input": 0}, "tags": {"b": "2", "a": "1"}, "x": 1})
    second = event(data={"x": 1, "tags": {"a": "1", "b": "2"}, "tokens": {"input": 0, "output": 2}, "model": "m"})
    canonical = ANY_EVENT.validate_json(first).canonical()
    assert canonical == ANY_EVENT.validate_json(second).canonical()
    assert json.loads(canonical)["data"] == {
        "tags": {"a": "1", "b": "2"}, "model": "m", "tokens": {"input": 0, "output": 2}, "x": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00.000000Z"),
        ("2026-01-01T00:00:00.1234567Z", "2026-01-01T00:00:00.123456Z"),
    ],
)
def test_times_are_kept_in_utc_with_microseconds(text: str, canonical: str) -> None:
    assert json.loads(ANY_EVENT.validate_json(event(time=text)).canonical())["time"] == canonical


@pytest.mark.parametrize(
    "wrong",
    [
        event(id=""), event(id=1), event(source=None), event(time="2026-01-01"), event(time="2026-01-01T00:00:00"),
        event(time="1999-12-31T23:59:59Z"), event(kind="surprise"), event(specversion="2.0"), event(extra=1),
        event(data={"tokens": {"input": -1}}), event(data={"tokens": {"input": 1.5}}), event(data={"tokens": {"x": 1}}),
        event(data={"tokens": {"input": 10**12 + 1}}), event(data={"model": "m" * 257}), event(data={"model": ""}),
        event(data={"unknown": "text"}), event(data={"unknown": {"a": 1}}), event(data={"claimed_cost": -1}),
        event(data={"propensity": "1.1"}), event(kind="tick", data={"x": 1}),
        event(kind="correction", data={"action": "replacement", "of": {"source": "s", "id": "1"}, "reason": "r"}),
        event(kind="control", data={"control": "made.up", "body": {}}),
        event(kind="control", data={"control": "budget.allocated", "body": {"a": 1}}),
    ],
)  # fmt: skip
def test_what_is_not_in_the_vocabulary_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValidationError):
        ANY_EVENT.validate_json(wrong)


def test_a_decision_without_schema_is_refused_with_the_list() -> None:
    with pytest.raises(ValidationError, match=r"a type that has a schema: agreement.declared, .*subject.erased"):
        ANY_EVENT.validate_json(event(kind="control", data={"control": "invoice.received", "body": {}}))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "model": st.text(min_size=1, max_size=20).filter(lambda text: "\ud800" not in text),
            "latency_ms": st.integers(0, 10**12),
            "propensity": st.decimals(0, 1, places=6).map(str),
            "claimed_cost": st.decimals(0, 10**9, places=9).map(str),
            "acting_for": st.lists(st.sampled_from(["a", "b"]), max_size=3),
            "odd": st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False),
        },
    )
)
def test_the_canonical_form_is_a_fixed_point(data: dict[str, Any]) -> None:
    canonical = ANY_EVENT.validate_json(event(data=data)).canonical()
    assert ANY_EVENT.validate_json(canonical).canonical() == canonical
    assert b"\n" not in canonical


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("-0", "0"), ("-0.00", "0"), ("1.500", "1.5"), ("1E+3", "1000"), ("100", "100"), ("0.10", "0.1"),
     ("12345678901234567890123456.123456789012", "12345678901234567890123456.123456789012")],
)  # fmt: skip
def test_a_decimal_keeps_every_digit_that_says_something(text: str, canonical: str) -> None:
    line = ANY_EVENT.validate_json(event(data={"claimed_cost": text})).canonical()
    assert json.loads(line)["data"] == {"claimed_cost": canonical}
    assert by_folds([record(0, line)], {})[0][:2] == ("counted", None)
