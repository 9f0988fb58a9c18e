"""What the intake removes from an inference stands in its ``left_out``, by names that are no content."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.intake.intake import Intake
from ingest.intake.rejection import Rejection
from tallystick import Inference
from tallystick.privacy.field_names import MAX_LABELS, safe_labels

MARK = "QZXMARKED"
ENVELOPE = {"id": "1", "source": "s", "type": "tallystick.inference.v1", "time": "2026-01-01T00:00:00Z"}


def accept(data: dict[str, Any], **envelope: Any) -> bytes:
    return Intake("key").accept(json.dumps({**ENVELOPE, **envelope, "data": data}).encode()).line


def read_left_out(data: dict[str, Any], **envelope: Any) -> list[str] | None:
    labels: list[str] | None = json.loads(accept(data, **envelope))["data"].get("left_out")
    return labels


def test_removed_fields_are_named_once_and_in_order() -> None:
    data = {
        "zone": "text", "note": "text", "own": 5, "absent": None, "provider_usage": {"id": "x", "prompt_tokens": 5},
        "reported_tokens": {"input": 5, "cached": 1}, "violations": [{"code": "c", "path_hash": "h", "text": "x"}] * 2,
    }  # fmt: skip
    assert read_left_out(data) == ["note", "provider_usage.id", "reported_tokens.cached", "violations.text", "zone"]
    assert read_left_out({"own": 5}) is None and read_left_out({"left_out": []}) is None


def test_names_that_a_source_gives_join_them() -> None:
    assert read_left_out({"left_out": ["zone", "model", "zone"], "note": "x"}) == ["model", "note", "zone"]


def test_a_name_that_may_be_content_is_never_written() -> None:
    prompt, key = f"tell me of {MARK}", f"sk-proj-{MARK}0123456789"
    line = accept({prompt: "x", key: 1, "left_out": [prompt, key, "tags.?", f"ann.{MARK}@example.com"], "é": "x"})
    assert MARK.encode() not in line and json.loads(line)["data"]["left_out"] == ["?", "tags.?"]


def test_the_envelope_has_no_part_in_it() -> None:
    assert read_left_out({"model": "m"}, traceparent="00-x") is None


def test_a_replacement_names_its_own() -> None:
    body = {"action": "replacement", "of": {"source": "s", "id": "1"}, "reason": "r", "replacement": {"note": "x"}}
    line = accept(body, type="tallystick.correction.v1")
    assert json.loads(line)["data"]["replacement"] == {"left_out": ["note"]}


def test_only_so_many_are_named() -> None:
    assert len(read_left_out({f"n{number:03}": "x" for number in range(100)}) or ()) == MAX_LABELS
    assert read_left_out({"left_out": ["x" * 300], "y" * 70: ""}) == ["?"]


@pytest.mark.parametrize("labels", ["team", [1], {"a": 1}, 5])
def test_a_list_of_no_texts_is_refused(labels: Any) -> None:
    with pytest.raises(Rejection, match=r"data\.left_out"):
        accept({"left_out": labels, "note": "x"})


KNOWN = Inference.model_fields
TEXTS = st.text() | st.sampled_from(["note", "zone", "left_out", "model", "tags.?", "a." * 40])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(TEXTS.filter(lambda name: name not in Inference.model_fields), JSON, max_size=6), st.lists(TEXTS)
)
def test_an_event_that_passes_twice_has_the_same_bytes(data: dict[str, Any], labels: list[str]) -> None:
    line = accept(data | {"left_out": labels, "provider_usage": {"a": 1} | data})
    assert Intake("key").accept(line).line == line
    left_out = json.loads(line)["data"].get("left_out", [])
    assert left_out == safe_labels(left_out)
