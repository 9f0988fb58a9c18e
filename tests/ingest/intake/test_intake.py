"""The intake: canonical form, what is taken out, what is refused and in which words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.intake.intake import MAX_EVENT_BYTES, AcceptedEvent, Intake
from ingest.intake.rejection import Rejection, make_skeleton
from ledger.home.secrets import pseudonym
from tallystick import ANY_EVENT, Inference

KEY = "of the organization"
INTAKE = Intake(KEY)
MARK = "MÄRK the quick brown fox"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(MARK),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.just(MARK), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(sorted(Inference.model_fields)) | st.sampled_from(["temperature", "x.y", "top-p", MARK])


def event(kind: str = "inference", **data: Any) -> dict[str, Any]:
    return {"id": "1", "source": "s", "type": f"tallystick.{kind}.v1", "time": "2026-01-05T12:00:00Z", "data": data}


def enter(event: Any) -> AcceptedEvent:
    return INTAKE.accept(json.dumps(event).encode())


def accept_data(**data: Any) -> dict[str, Any]:
    """Return an inference's data as it stands on the log."""
    outcome: dict[str, Any] = json.loads(enter(event(**data)).line)["data"]
    return outcome


@given(st.dictionaries(NAMES, JSON, max_size=6), st.dictionaries(st.text(max_size=5), JSON, max_size=2))
def test_whatever_enters_is_canonical_and_what_does_not_says_no_word(
    data: dict[str, Any], attributes: dict[str, Any]
) -> None:
    try:
        line = INTAKE.accept_event(attributes | event(**data)).line
    except Rejection as refused:
        detail = json.dumps([str(refused), make_skeleton(refused.shape)], ensure_ascii=False)
        assert MARK not in detail
        return
    assert ANY_EVENT.validate_json(line).canonical() == line
    assert b"\n" not in line and len(line) <= MAX_EVENT_BYTES
    data_kept = json.loads(line)["data"]
    for name in data_kept.keys() - Inference.model_fields:
        assert isinstance(data_kept[name], bool | int | float)


@given(st.permutations(["temperature", "seed", "stream", "model", "tags"]))
def test_equal_content_has_equal_bytes(names: list[str]) -> None:
    values: dict[str, Any] = {
        "temperature": 0.25,
        "seed": 7,
        "stream": True,
        "model": "m",
        "tags": {"b": "1", "a": "2"},
    }
    shuffled = enter(event(**{name: values[name] for name in names}))
    assert shuffled.line == enter(event(**values)).line


def test_of_unknown_fields_numbers_and_booleans_are_kept_and_the_rest_is_counted() -> None:
    outcome = enter(
        event(
            zeta=1.5, alpha=True, note="words", request={"prompt": "words"}, nothing=None, huge=2**70,
            reported_tokens={"input": 3, "words": "words"},
            provider_usage={"n": 3, "tier": "words", "deep": {"n": 1, "deeper": {"n": 1}}},
        )
        | {"datacontenttype": "application/json"}
        | {"data " * 3: "words"}
    )  # fmt: skip
    labels = ["huge", "note", "provider_usage.deep.deeper", "provider_usage.tier", "reported_tokens.words", "request"]
    assert json.loads(outcome.line)["data"] == {
        "left_out": labels,
        "provider_usage": {"deep": {"n": 1}, "n": 3},
        "reported_tokens": {"input": 3},
        "alpha": True,
        "zeta": 1.5,
    }
    assert dict(outcome.removed) == {
        ("data.note", "string"): 1,
        ("data.request", "object"): 1,
        ("data.huge", "number"): 1,
        ("data.reported_tokens.words", "string"): 1,
        ("data.provider_usage.tier", "string"): 1,
        ("data.provider_usage.deep.deeper", "object"): 1,
        ("datacontenttype", "string"): 1,
        ("?", "string"): 1,
    }


def test_no_more_unknown_numbers_are_kept_than_a_bound() -> None:
    data_kept = accept_data(**{f"n{number:03}": number for number in range(100)})
    assert list(data_kept) == ["left_out", *(f"n{number:03}" for number in range(32))]


def test_persons_and_what_could_be_guessed_become_pseudonyms() -> None:
    names: dict[str, Any] = {"user": "ann", "customer": "acme", "tool_arguments_hash": "abc", "tool_result_hash": "def"}
    data_kept = accept_data(**names, acting_for=["ann", "bob"], prompt_hash="abc")
    assert data_kept == {name: pseudonym(KEY, value) for name, value in names.items()} | {
        "acting_for": [pseudonym(KEY, "ann"), pseudonym(KEY, "bob")],
        "prompt_hash": "abc",
    }
    assert Intake("another").accept_event(event(**names)).line != enter(event(**names)).line


def test_a_replacement_is_an_inference_too() -> None:
    data = {
        "action": "replacement",
        "of": {"source": "s", "id": "0"},
        "reason": "r",
        "replacement": {"user": "ann", "x": "words", "y": 1},
    }
    outcome = enter(event("correction", **data))
    assert json.loads(outcome.line)["data"]["replacement"] == {
        "left_out": ["x"],
        "user": pseudonym(KEY, "ann"),
        "y": 1,
    }
    assert dict(outcome.removed) == {("data.replacement.x", "string"): 1}


@pytest.mark.parametrize(
    ("wrong", "field", "reason"),
    [
        ([1], "", "is not a JSON object"),
        (event() | {"type": MARK}, "type", "is not one of tallystick.inference.v1, tallystick.observation.v1"),
        (event() | {"type": ["x"]}, "type", "is not one of"),
        (event("control", control="budget.allocated", body={}), "type", "the types accepted here"),
        (event("tick"), "type", "the types accepted here"),
        ({"type": "tallystick.inference.v1"}, "id", "is missing"),
        (event() | {"id": ""}, "id", "at least 1 character, and this is a string of 0 characters"),
        (event() | {"time": "1999-01-01T00:00:00Z"}, "time", "must lie between 2000 and 2200"),
        (event() | {"time": "2026-01-05T12:00:00"}, "time", "timezone"),
        (event() | {"data": MARK}, "data", "and this is a string of"),
        (event(model=5), "data.model", "valid string, and this is a number"),
        (event(tokens={"input": -1}), "data.tokens.input", "greater than or equal to 0, and this is a number"),
        (event(tokens={MARK: 1}), "data.tokens.?", "Input should be 'input'"),
        (event(tags={MARK: 5}), "data.tags.?", "a number"),
        (event(status=MARK), "data.status", "'ok', 'error', 'refused' or 'aborted'"),
        (event(claimed_cost=True), "data.claimed_cost", "must be a number in plain digits, and this is a boolean"),
        (event(user=""), "data.user", "a string of 0 characters"),
        (event(user=MARK * 50), "data.user", "at most 256 characters"),
        (event(acting_for=[5]), "data.acting_for.0", "a number"),
        (event(claimed_cost=10**40), "data.claimed_cost", "digits"),
        (event(model="a\0b"), "", "the character NUL"),
        (event("observation", **{MARK: 1}), "data.?", "is not a field here; the fields are of, session"),
        (event("correction", action="replacement", of={"source": "s", "id": "1"}, reason=MARK), "data", "carries the"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field_the_kind_and_what_would_enter(wrong: Any, field: str, reason: str) -> None:
    with pytest.raises(Rejection) as refused:
        enter(wrong)
    assert (refused.value.field, MARK in str(refused.value)) == (field, False)
    assert reason in refused.value.reason


def test_an_event_has_a_bound() -> None:
    usage = {f"{n:02}" + "x": {f"f{m:04}": 10**12 for m in range(500)} for n in range(32)}
    usage = {f"u{name}": value for name, value in usage.items()}
    with pytest.raises(Rejection, match="may have 128,000"):
        enter(event(provider_usage=usage))


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff", b'{"a":NaN}', b'{"a":1e999}', b"[" * 100_000, b'{"a":"\\ud800"}', b"{}\0", b"{}{}", b"null"],
)
def test_what_is_no_json_is_refused_in_words(raw: bytes) -> None:
    with pytest.raises(Rejection, match=r"is not (JSON|UTF-8|a JSON object)"):
        INTAKE.accept(raw)


def test_a_skeleton_has_known_names_kinds_and_lengths() -> None:
    shape = event(model="gpt", tokens={"input": 5, MARK: 1}, **{MARK: MARK}, acting_for=["x"] * 20)
    assert make_skeleton(shape)["data"] == {
        "model": "a string of 3 characters",
        "tokens": {"input": "a number", "?": 1},
        "acting_for": ["a string of 1 characters"] * 8,
        "?": 1,
    }
