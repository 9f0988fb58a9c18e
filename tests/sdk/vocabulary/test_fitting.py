"""An attribute never costs a fact: whatever stands beside the tokens, they are recorded and never grow smaller."""

import enum
import math
from collections import UserDict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.intake.intake import Intake
from tallystick import Inference
from tallystick.privacy.field_names import safe_labels
from tallystick.privacy.key_shapes import fingerprint
from tallystick.vocabulary.fitting import MAX_UNKNOWN_FIELDS, fit_fields, fit_observation
from tallystick.vocabulary.inference import usage_contradiction
from tallystick.vocabulary.remedies import remedy_of

FACTS: dict[str, Any] = {
    "tokens": {"input": 10, "output": 3},
    "reported_tokens": {"input": 10, "output": 3},
    "quantities": {"images": 1},
}
KEY = "sk-proj-QZXMARKED0123456789"
LONG = "x" * 300


class Status(enum.Enum):
    GOOD = "ok"


class Mute:
    """Raises whatever is asked of it but for its repr, which pytest shows."""

    def _fail(self, *_: object) -> Any:
        raise RuntimeError("content")

    __str__ = __bool__ = __hash__ = __iter__ = __len__ = __eq__ = __float__ = __index__ = _fail
    __getitem__ = __getattr__ = __format__ = _fail


class NotATime(datetime):
    """A time that is none, as data frames have it."""

    __hash__ = datetime.__hash__

    def __eq__(self, other: object) -> bool:
        return False


class LoudText(str):
    def __str__(self) -> str:
        raise RuntimeError("content")


@pytest.mark.parametrize(
    ("name", "value", "fitted"),
    [
        ("user", 12345, "12345"),
        ("user", UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("customer", Decimal("1E+3"), "1000"),
        ("session", Status.GOOD, "ok"),
        ("session", PurePosixPath("/runs/7"), "/runs/7"),
        ("session", datetime(2026, 11, 1, tzinfo=UTC), "2026-11-01T00:00:00+00:00"),
        ("team", True, "true"),
        ("team", LoudText("core"), "core"),
        ("team", "käse", "käse"),
        ("agent_version", 1.5, "1.5"),
        ("latency_ms", 12.6, 13),
        ("latency_ms", 12.5, 12),
        ("latency_ms", "12.6", 13),
        ("latency_ms", timedelta(seconds=1.5), 1500),
        ("time_to_first_token_ms", Decimal("0.4"), 0),
        ("period_s", timedelta(hours=1), 3600),
        ("attempt", "2", 2),
        ("attempt", 2.0, 2),
        ("latency_ms", Fraction(25, 2), 12),
        ("max_tokens", "1e3", 1000),
        ("propensity", 0.1, "0.1"),
        ("propensity", 1 / 3, "0.333333333333"),
        ("status", "OK", "ok"),
        ("status", Status.GOOD, "ok"),
        ("payer", " Platform ", "platform"),
        ("claimed_currency", "usd", "USD"),
        ("acting_for", ("agent", 7), ["agent", "7"]),
        ("acting_for", "agent", ["agent"]),
        ("acting_for", {"b", "a"}, ["a", "b"]),
        ("acting_for", ["agent", None, ""], ["agent"]),
        ("tags", {"a": None, "b": "", 1: 2, "c": False}, {"1": "2", "c": "false"}),
        ("tags", UserDict(a="b"), {"a": "b"}),
        ("key", KEY, fingerprint(KEY)),
        ("rate_limits", [{"dimension": "tokens", "limit": "5"}], [{"dimension": "tokens", "limit": 5}]),
        ("anything", 5, 5),
    ],
)
def test_a_value_is_converted_where_that_is_safe_and_exact(name: str, value: Any, fitted: Any) -> None:
    assert fit_fields({name: value}) == ({name: fitted}, ())


@pytest.mark.parametrize(
    ("value", "cost", "currency"),
    [
        ("$0.02", "0.02", "USD"),
        ("USD 0.02", "0.02", "USD"),
        ("0.02 usd", "0.02", "USD"),
        ("0.50 €", "0.5", "EUR"),
        ("0.02", "0.02", None),
        (0.1 + 0.2, "0.3", None),
        (5e-05, "0.00005", None),
        (Decimal("1.25"), "1.25", None),
        (2, "2", None),
    ],
)
def test_a_claim_is_read_with_its_currency(value: Any, cost: str, currency: str | None) -> None:
    fields = {"claimed_cost": cost} | ({"claimed_currency": currency} if currency else {})
    assert fit_fields({"claimed_cost": value}) == (fields, ())


@pytest.mark.parametrize("value", ["Included", "2,500", "1.234,50", "-1", -0.5, math.nan, "$", "$1 €", True, "EUR 1"])
def test_a_claim_that_can_be_read_in_two_ways_is_left_out(value: Any) -> None:
    fitted = fit_fields({"claimed_cost": value, "claimed_currency": "USD"})
    assert fitted == ({"claimed_currency": "USD", "left_out": ["claimed_cost"]}, ("claimed_cost",))


def test_a_sign_of_several_currencies_takes_the_one_beside_it() -> None:
    fields, _ = fit_fields({"claimed_cost": "$3", "claimed_currency": "cad"})
    assert fields == {"claimed_cost": "3", "claimed_currency": "CAD"}


UNFIT: list[tuple[str, Any]] = [
    ("team", LONG), ("team", b"core"), ("team", ["core"]), ("team", {"a": 1}), ("team", math.nan), ("team", "a\0b"),
    ("team", "\ud800"), ("team", 10**300), ("team", Mute()), ("team", "x" * 50_000), ("team", object),
    ("team", Decimal("1e999999")), ("team", "ann@example.com " * 15), ("latency_ms", -1), ("latency_ms", math.inf),
    ("latency_ms", True), ("attempt", 1.5), ("attempt", timedelta(seconds=1)), ("attempt", "many"), ("calls", 0),
    ("attempt", Fraction(1, 2)),
    ("team", NotATime(2026, 1, 1)), ("status", "fine"), ("status", 1), ("payer", Mute()), ("propensity", 1.1),
    ("claimed_currency", "dollars"), ("acting_for", ["a", LONG]), ("acting_for", ["a"] * 65), ("tags", "a:b"),
    ("tags", Mute()), ("violations", [{"code": "c"}]), ("violations", Mute()), ("provider_usage", 5),
    ("left_out", 5),
]  # fmt: skip


def test_any_other_value_is_left_out_by_name_and_the_facts_stay() -> None:
    for name, value in UNFIT:
        fields, left_out = fit_fields({**FACTS, name: value})
        assert left_out == (name,)
        assert fields == {**FACTS, "left_out": [name]}


@pytest.mark.parametrize("value", [None, "", [], ()])
def test_absent_and_empty_are_nothing_to_tell(value: Any) -> None:
    assert fit_fields({"team": value or None, "acting_for": value or None, "own": value or None}) == ({}, ())
    assert fit_fields({"team": "", "own": "", "acting_for": [], "latency_ms": "", "claimed_cost": ""}) == ({}, ())


def test_tags_are_left_out_one_by_one_and_the_first_are_taken() -> None:
    fields, left_out = fit_fields({"tags": {"good": "1", "long": LONG, "two words": b"", LONG: "1", "": "x"}})
    assert fields["tags"] == {"good": "1"} and left_out == ("tags.?", "tags.long")
    fields, left_out = fit_fields({"tags": {f"t{number:02}": number for number in range(40, 0, -1)}})
    assert list(fields["tags"]) == [f"t{number:02}" for number in range(1, 33)] and left_out == ("tags",)


def test_of_unknown_names_numbers_stay_and_the_rest_is_named_where_the_name_is_none_of_content() -> None:
    fields, left_out = fit_fields({"a": 1, "b": True, "c": 0.5, "d": "text", "what is my name": 1, KEY: 2, "e": 2**64})
    assert fields == {"a": 1, "b": True, "c": 0.5, "left_out": ["?", "d", "e"]} and left_out == ("?", "d", "e")
    fields, left_out = fit_fields({f"n{number:03}": number for number in range(100)})
    assert [name for name in fields if name != "left_out"] == [f"n{number:03}" for number in range(MAX_UNKNOWN_FIELDS)]
    assert len(left_out) == 32


@pytest.mark.parametrize(
    ("name", "value", "label"),
    [
        ("tokens", {"input": 10, "output": -1}, "tokens.output"),
        ("tokens", {"input": 10, "output": 1.5}, "tokens.output"),
        ("tokens", {"input": 10, "output": "some"}, "tokens.output"),
        ("tokens", {"input": 10, "thoughts": 5}, "tokens.thoughts"),
        ("tokens", {"input": 10, "my secret": 5}, "tokens.?"),
        ("tokens", {"input": 10, "output": True}, "tokens.output"),
        ("reported_tokens", {"input": 10, "output": -3}, "reported_tokens.output"),
        ("quantities", {"images": 1, "seconds": 1.5}, "quantities.seconds"),
    ],
)
def test_a_wrong_count_makes_the_usage_unknown_and_never_smaller(name: str, value: Any, label: str) -> None:
    fields, left_out = fit_fields({**FACTS, name: value, "usage_source": "reported", "model": "m"})
    assert left_out == (label,) and fields["usage_source"] == "unknown" and fields["model"] == "m"
    assert "tokens" not in fields and fields["provider_usage"]["tokens"]["input"] == 10
    fields, _ = fit_fields({**FACTS, name: value, "provider_usage": {"prompt_tokens": 10}})
    assert fields["provider_usage"] == {"prompt_tokens": 10}, "the provider's own block stays as it came"


def test_tokens_that_are_no_counts_are_unknown_usage() -> None:
    for value in ("ten", 5, [1], b"", Mute()):
        fields = {"usage_source": "unknown", "left_out": ["tokens"]}
        assert fit_fields({"tokens": value}) == (fields, ("tokens",))


def test_counts_of_another_type_are_counts_where_they_are_whole() -> None:
    fields, left_out = fit_fields(
        {"tokens": {"input": 10.0, "output": "3", "cache_read": None, "reasoning": Decimal(2)}}
    )
    assert fields == {"tokens": {"input": 10, "output": 3, "reasoning": 2}} and not left_out
    assert fit_fields({"tokens": {"input": 1, "odd": 0}}) == ({"tokens": {"input": 1}}, ()), "zero of any class is none"


def test_the_word_about_the_usage_gives_way_to_the_usage() -> None:
    assert fit_fields({"usage_source": "missing", "tokens": {"input": 1}}) == ({"tokens": {"input": 1}}, ())
    assert fit_fields({"usage_source": "unknown", "tokens": {"input": 1}}).left_out == ("usage_source",)
    assert fit_fields({"usage_source": "reported"}) == ({"left_out": ["usage_source"]}, ("usage_source",))


def test_the_provider_usage_keeps_counts_alone() -> None:
    block = {"prompt_tokens": 5, "details": {"audio": 1, "note": "hello"}, "cost": 0.5, "id": "x", "no name": 3}
    fields, left_out = fit_fields({"provider_usage": block})
    assert fields["provider_usage"] == {"prompt_tokens": 5, "details": {"audio": 1}}
    assert left_out == tuple(sorted(f"provider_usage.{name}" for name in ("?", "cost", "details.note", "id")))


def test_names_that_a_reader_gives_join_the_others() -> None:
    fields, left_out = fit_fields({"team": LONG, "left_out": ["zone", "what is my name", "zone", "tags.?"]})
    assert left_out == ("?", "tags.?", "team", "zone") == tuple(fields["left_out"])
    assert safe_labels(left_out) == list(left_out), "idempotent"


def test_what_is_too_large_for_the_ledger_loses_its_largest_attributes() -> None:
    large = {
        "tags": {f"t{number}" + "\u65e5" * 60: "\u65e5" * 250 for number in range(32)},
        "acting_for": ["ann@example.com " * 5] * 64,
        "provider_usage": {f"u{n}{'x' * 60}": {f"i{m}{'x' * 60}": 10**12 for m in range(32)} for n in range(32)},
    }  # fmt: skip
    names = [
        name
        for name, field in Inference.model_fields.items()
        if field.annotation == Inference.model_fields["team"].annotation
    ]
    fields, left_out = fit_fields({**FACTS, **large, **dict.fromkeys(names, "\x01" * 256)})
    assert {"tags"} <= set(left_out) and fields["tokens"] == FACTS["tokens"]
    accept(fields)


def accept(fields: dict[str, Any]) -> bytes:
    """Pass fields through the whole intake, as an event."""
    event = {
        "id": "1",
        "source": "s",
        "type": "tallystick.inference.v1",
        "time": "2026-01-01T00:00:00Z",
        "data": fields,
    }
    return Intake("key").accept_event(event).line


NAMES = st.sampled_from([name for name in Inference.model_fields if name not in (*FACTS, "provider_usage")])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(), st.text(), st.binary(), st.uuids(),
    st.timedeltas(), st.datetimes(), st.fractions(),
    st.builds(Mute), st.sampled_from([ LONG, "a@b.co" * 40, KEY, Status.GOOD, "OK"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(NAMES | st.text(), VALUES, max_size=8))
@example({"usage_source": "unknown"})
@example({"usage_source": "missing"})
def test_no_attribute_of_any_name_or_type_changes_the_facts(attributes: dict[str, Any]) -> None:
    own = {name: value for name, value in attributes.items() if name not in (*FACTS, "provider_usage")}
    fields, left_out = fit_fields({**own, **FACTS})
    assert {name: fields[name] for name in FACTS} == FACTS
    assert len(left_out) <= 32 and usage_contradiction(fields) is None
    Inference.model_validate(fields)
    accept(fields)


@given(VALUES, VALUES, VALUES, VALUES)
def test_whatever_the_facts_are_the_call_is_recorded(tokens: Any, totals: Any, usage: Any, quantities: Any) -> None:
    fields, _ = fit_fields(
        {"tokens": tokens, "reported_tokens": totals, "provider_usage": usage, "quantities": quantities}
    )
    Inference.model_validate(fields)
    accept(fields)


@given(st.dictionaries(NAMES | st.text(), VALUES, max_size=8))
def test_what_fits_fits_again(values: dict[str, Any]) -> None:
    fitted = fit_fields(values)
    assert fit_fields(fitted.fields) == fitted


def test_every_field_of_the_vocabulary_has_a_conversion_and_a_remedy() -> None:
    filled = {name: value for name in Inference.model_fields if (value := sample(name)) is not None}
    fields, left_out = fit_fields(filled)
    assert fields.keys() == Inference.model_fields.keys() and left_out == ("a",)
    unknown = remedy_of("no_field")
    assert all(remedy_of(name) != unknown for name in Inference.model_fields)
    assert remedy_of("tokens.input") == remedy_of("tokens") and remedy_of("?") != unknown


def sample(name: str) -> Any:
    """Return a value that a field accepts."""
    structured = {
        "tags": {"a": "b"}, "acting_for": ["a"], "violations": [{"code": "c", "path_hash": "h"}], "left_out": ["a"],
        "rate_limits": [{"dimension": "d"}], "provider_usage": {"a": 1}, "usage_source": "reported",
        "claimed_currency": "USD", **FACTS,
    }  # fmt: skip
    candidates = (structured[name],) if name in structured else ("1", *WORDS)
    return next(value for value in candidates if not fit_fields({name: value, **FACTS}).left_out or name == "left_out")


WORDS = tuple(
    word
    for field in Inference.model_fields.values()
    for part in get_args(field.annotation)
    if get_origin(part) is Literal
    for word in get_args(part)
)


def test_an_observation_loses_an_attribute_and_keeps_what_it_is_about() -> None:
    fitted = fit_observation(
        {"metric": "solved", "value": 0.5, "evaluator": 7, "ticket": LONG, "own": 1, "session": ""}
    )
    assert fitted == ({"metric": "solved", "value": "0.5", "evaluator": "7"}, ("own", "ticket"))
    assert fit_observation({"value": "good", "metric": LONG, "used": -1}).fields == {
        "value": "good", "metric": LONG, "used": -1,
    }, "for the vocabulary to refuse"  # fmt: skip
