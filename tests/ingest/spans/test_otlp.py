"""Requests of OTLP are read alike in both encodings, and nothing that is not one gets through."""

import contextlib
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.spans import otlp_json, otlp_protobuf
from ingest.spans.span import MAX_SPANS, MalformedRequest, Span
from tests.ingest.spans.build import CHAT, request, span, to_json, to_protobuf

_VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.text(max_size=20), st.booleans(), st.floats(allow_nan=False, width=32),
    st.lists(st.text(max_size=5), max_size=4),
)  # fmt: skip
_NAMES = st.sampled_from([
    "gen_ai.request.model", "gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.response.finish_reasons",
    "tallystick.team", "http.method", "gen_ai.usage.details.anything", "user.id", "gen_ai.input.messages",
])  # fmt: skip
_SPANS = st.lists(
    st.builds(
        span, st.integers(1, 2**64 - 1), st.dictionaries(_NAMES, _VALUES, max_size=8), st.integers(0, 2**64 - 1),
        error=st.booleans(), latency_ms=st.integers(0, 10**9),
    ),
    max_size=4,
)  # fmt: skip


@given(_SPANS, st.dictionaries(st.just("service.name"), st.text(max_size=9)))
def test_both_encodings_say_the_same(spans: list, resource: dict) -> None:  # type: ignore[type-arg]
    message = request(spans, resource)
    assert list(otlp_protobuf.read_spans(to_protobuf(message))) == list(otlp_json.read_spans(to_json(message)))


def test_attributes_fill_slots_and_content_is_stepped_over() -> None:
    content = {
        "gen_ai.input.messages": "what is",
        "input.value": "what is",
        "llm.prompts": ["a"],
        "exception.message": "b",
    }
    (read,) = otlp_protobuf.read_spans(to_protobuf(request([span(1, CHAT | content, parent=7, error=True)])))
    assert read.slots == {
        "operation": "chat", "provider": "openai", "model": "gpt-4o", "input": 1000, "output": 200,
    }  # fmt: skip
    assert (read.span_id, read.parent_id, read.is_error) == ("0000000000000001", "0000000000000007", True)


@given(st.binary(max_size=60))
def test_any_bytes_are_spans_or_malformed(body: bytes) -> None:
    for module in (otlp_protobuf, otlp_json):
        with contextlib.suppress(MalformedRequest):
            assert all(isinstance(read, Span) for read in module.read_spans(body))


def test_a_damaged_request_is_spans_or_malformed() -> None:
    body = to_protobuf(request([span(1, CHAT | {"gen_ai.response.finish_reasons": ["stop"]}), span(2, CHAT)]))
    chance = random.Random(7)
    for _ in range(3_000):
        damaged = bytearray(body)
        damaged[chance.randrange(len(body))] = chance.randrange(256)
        with contextlib.suppress(MalformedRequest):
            list(otlp_protobuf.read_spans(bytes(damaged[: chance.randrange(1, len(body) + 1)])))


@pytest.mark.parametrize(
    ("module", "body"),
    [
        (otlp_protobuf, b"\x0a\x80\x80\x04" + b"\x12\xfd\xff\x03" + b"\x12\x00" * 32_766 + b"\x12"),
        (otlp_json, b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * MAX_SPANS + b"{}]}]}]}"),
        (otlp_protobuf, b"\x0a\x00" * 6_000),
        (otlp_json, b'{"resourceSpans":[' + b"{}," * 6_000 + b"{}]}"),
        (otlp_json, b'{"resourceSpans":' + b"[" * 5_000),
    ],
)  # fmt: skip
def test_a_body_of_many_parts_is_refused(module, body: bytes) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MalformedRequest):
        list(module.read_spans(body))


def test_numbers_of_64_bits_may_be_strings_or_numbers() -> None:
    body = b"""{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "000102030405060708090A0B0C0D0E0F",
        "spanId": "0000000000000001", "startTimeUnixNano": 1780315200000000000,
        "endTimeUnixNano": "1780315200000000001",
        "status": {"code": "STATUS_CODE_ERROR"}, "unknown": [{}], "attributes": [
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "12"}},
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": 3}},
        {"key": "gen_ai.request.model", "value": {"stringValue": 7}}]}]}]}]}"""
    (read,) = otlp_json.read_spans(body)
    assert read.slots == {"input": 12, "output": 3} and read.is_error
    assert read.trace_id == "000102030405060708090a0b0c0d0e0f"


JUNK: list[Any] = [None, 5, "text", [], {}, {"key": 5}, {"key": None, "value": {}}, {"value": {"stringValue": "x"}}]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_what_is_no_attribute_no_status_or_no_span_costs_no_other(junk: Any) -> None:
    document = json.loads(to_json(request([span(1, CHAT)])))
    (group,) = document["resourceSpans"]
    (whole,) = group["scopeSpans"][0]["spans"]
    odd = whole | {"spanId": "00000000000000ff", "status": junk, "attributes": [junk, *whole["attributes"]]}
    group["scopeSpans"][0]["spans"] = [junk, odd, whole]
    group["resource"] = junk
    spans = list(otlp_json.read_spans(json.dumps(document).encode()))
    assert [item.slots for item in spans if item.slots] == [spans[-1].slots] * 2
