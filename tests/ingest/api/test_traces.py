"""``POST /v1/traces``: OTLP over HTTP, as exporters and collectors speak it."""

import gzip
import json
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.ingest.api.conftest import Answer, Served, read_events
from tests.ingest.spans.build import CHAT, request, span, to_json, to_protobuf

PROTOBUF, JSON = "application/x-protobuf", "application/json"


def export(server: Served, body: bytes, kind: str = PROTOBUF, organization: str = "acme", **headers: str) -> Answer:
    bearer = server.bearer("write", organizations=(organization,))
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.ask(
        "/v1/traces", "POST", body, 60, **{"Authorization": f"Bearer {bearer}", "Content-Type": kind} | names
    )


def stored(server: Served, organization: str) -> list[dict[str, Any]]:
    return [
        json.loads(line) for record in read_events(server, organization) for line in record.value.splitlines() if line
    ]


def parse(answer: Answer) -> ExportTraceServiceResponse:
    response: ExportTraceServiceResponse = ExportTraceServiceResponse.FromString(answer.body)
    return response


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize("packed", [False, True])
def test_calls_are_durable_in_either_encoding(api_server: Served, kind: str, packed: bool) -> None:
    organization = f"either-{kind}-{packed}"
    message = request([span(1, CHAT | {"gen_ai.conversation.id": "c-1"}), span(2, {"http.method": "GET"})])
    body = to_protobuf(message) if kind == PROTOBUF else to_json(message)
    coding = {"Content_Encoding": "gzip"} if packed else {}
    answer = export(api_server, gzip.compress(body) if packed else body, kind, organization, **coding)
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    assert answer.body == (b"" if kind == PROTOBUF else b"{}")
    (event,) = stored(api_server, organization)
    assert event["source"] == "search-api"
    assert event["time"] == "2026-06-01T12:00:00.000000Z"
    assert event["data"]["tokens"] == {"input": 1000, "output": 200}
    assert event["data"]["session"] == "c-1" and event["data"]["latency_ms"] == 1500


def test_headers_say_what_spans_lack(api_server: Served) -> None:
    spans = [span(1, CHAT), span(2, CHAT | {"tallystick.team": "own"})]
    answer = export(
        api_server, to_protobuf(request(spans, {})), organization="headers", Tallystick_Team="search",
        Tallystick_Source="worker", Tallystick_Tags_Region="eu",
    )  # fmt: skip
    assert answer.status == 200
    first, second = stored(api_server, "headers")
    assert first["source"] == second["source"] == "worker"
    assert (first["data"]["team"], second["data"]["team"]) == ("search", "own")
    assert first["data"]["tags"] == {"region": "eu"}


def test_a_rejected_span_is_a_partial_success_and_the_others_stay(api_server: Served) -> None:
    bad, good = span(1, CHAT), span(2, CHAT)
    bad.start_time_unix_nano = 0
    for kind, body in ((PROTOBUF, to_protobuf(request([bad, good]))), (JSON, to_json(request([bad, good])))):
        answer = export(api_server, body, kind, f"partly-{kind}")
        assert answer.status == 200 and len(stored(api_server, f"partly-{kind}")) == 1
        if kind == PROTOBUF:
            assert parse(answer).partial_success.rejected_spans == 1
            assert "start_time_unix_nano" in parse(answer).partial_success.error_message
        else:
            assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"


def test_an_export_that_is_repeated_has_the_same_identity(api_server: Served) -> None:
    body = to_protobuf(request([span(1, CHAT), span(2, CHAT | {"gen_ai.response.id": "chatcmpl-1"})]))
    for _ in range(2):
        assert export(api_server, body, organization="repeated").status == 200
    events = stored(api_server, "repeated")
    assert events[:2] == events[2:]


def test_a_wrapper_that_comes_in_a_later_request_is_not_charged(api_server: Served) -> None:
    inner, outer = span(2, CHAT, parent=1), span(1, CHAT)
    for message in (inner, outer, inner, outer, span(1, CHAT, trace=b"another trace id")):
        assert export(api_server, to_protobuf(request([message])), organization="wrapped").status == 200
    ids = [event["id"] for event in stored(api_server, "wrapped")]
    assert len(ids) == 3 and len(set(ids)) == 2 and all(not id.endswith(f"0f:{1:016x}") for id in ids)


def test_an_empty_request_is_fine(api_server: Served) -> None:
    assert export(api_server, b"").status == 200
    assert export(api_server, b"{}", JSON).status == 200


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        (PROTOBUF, b"\x0a\xff", 400, 3), (PROTOBUF, b"\x0b", 400, 3), (PROTOBUF, b"\x0a\x02\x12\x05", 400, 3),
        (JSON, b"[]", 400, 3), (JSON, b'{"resourceSpans": [{"scopeSpans": 1}]}', 400, 3), (JSON, b"\xff", 400, 3),
        ("text/plain", b"", 415, 3), (PROTOBUF, b"\x00" * (5 << 20), 413, 8),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_for_good(
    api_server: Served, kind: str, body: bytes, status: int, code: int
) -> None:
    answer = export(api_server, body, kind)
    assert answer.status == status
    if kind == PROTOBUF:
        assert answer.headers["content-type"] == PROTOBUF and answer.body[:2] == bytes([8, code])
    else:
        assert answer.json()["code"] == code and answer.json()["message"]


def test_tokens_and_roles_are_those_of_every_other_path(api_server: Served) -> None:
    body = to_protobuf(request([span(1, CHAT)]))
    for headers, status in (
        ({"Authorization": "Bearer nobody"}, 401),
        ({"Authorization": f"Bearer {api_server.bearer('read')}"}, 403),
        ({"Authorization": f"Bearer {api_server.bearer('admin')}"}, 403),
        ({"Tally-Organization": "others"}, 403),
        ({"Tallystick-Time": "yesterday"}, 400),
    ):
        answer = export(api_server, body, **headers)
        assert (answer.status, answer.headers["content-type"]) == (status, PROTOBUF), headers
