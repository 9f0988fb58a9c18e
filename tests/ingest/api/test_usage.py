"""``POST /v1/usage/{form}``: providers' responses and streams as they came, and the headers beside them."""

import json
from typing import Any

import pytest

from tallystick.usage.reader import list_forms
from tests.ingest.api.conftest import Answer, Served, read_events

CHAT: dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1_780_315_200, "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "CONTENT"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200,
        "prompt_tokens_details": {"cached_tokens": 300},
    },
}  # fmt: skip
TOKENS = {"cache_read": 300, "input": 700, "output": 200}
CHUNKS: list[dict[str, Any]] = [
    {"id": "chatcmpl-2", "object": "chat.completion.chunk", "model": "gpt-4o", "created": 1_780_315_200,
     "choices": [{"delta": {"content": "CONTENT"}}], "usage": None},
    {"id": "chatcmpl-2", "object": "chat.completion.chunk", "model": "gpt-4o", "created": 1_780_315_200,
     "choices": [], "usage": CHAT["usage"]},
]  # fmt: skip
ANTHROPIC_STREAM: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "msg_1", "model": "claude-sonnet-4-5-20250929", "usage": {
        "input_tokens": 500, "cache_read_input_tokens": 9000, "cache_creation_input_tokens": 0, "output_tokens": 1}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "CONTENT"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 400}},
    {"type": "message_stop"},
]  # fmt: skip
GEMINI_STREAM: list[dict[str, Any]] = [
    {"responseId": "r-1", "modelVersion": "gemini-2.5-flash", "candidates": [{"content": "CONTENT"}],
     "usageMetadata": {"promptTokenCount": 100, "totalTokenCount": 100}},
    {"responseId": "r-1", "modelVersion": "gemini-2.5-flash", "candidates": [],
     "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120}},
]  # fmt: skip
BEDROCK_STREAM: list[dict[str, Any]] = [
    {"messageStart": {"role": "assistant"}}, {"contentBlockDelta": {"delta": {"text": "CONTENT"}}},
    {"messageStop": {"stopReason": "end_turn"}},
    {"metadata": {"usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}, "metrics": {"latencyMs": 1}}},
]  # fmt: skip


def post(
    server: Served, form: str, body: bytes | Any, organization: str, kind: str = "application/json", **headers: str
) -> Answer:
    bearer = server.bearer("write", organizations=(organization,))
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.ask(
        f"/v1/usage/{form}", "POST", content, 60,
        **{"Authorization": f"Bearer {bearer}", "Content-Type": kind} | names,
    )  # fmt: skip


def stored(server: Served, organization: str) -> list[dict[str, Any]]:
    lines = [line for record in read_events(server, organization) for line in record.value.splitlines() if line]
    assert not any(b"CONTENT" in line for line in lines)
    return [json.loads(line) for line in lines]


def test_a_response_is_an_event_with_the_fields_of_its_headers(api_server: Served) -> None:
    answer = post(
        api_server, "openai_chat", CHAT, "single", Tallystick_Team="search", Tallystick_User="ann",
        Tallystick_Latency_Ms="250", Tallystick_Tags_Region="eu", Tallystick_Source="worker",
    )  # fmt: skip
    assert answer.status == 200 and answer.json()["accepted"] == 1
    (event,) = stored(api_server, "single")
    assert (event["id"], event["source"], event["time"]) == ("chatcmpl-1", "worker", "2026-06-01T12:00:00.000000Z")
    data = event["data"]
    assert data["tokens"] == TOKENS and data["model"] == data["model_resolved"] == "gpt-4o-2024-08-06"
    assert (data["team"], data["latency_ms"], data["tags"], data["provider"]) == (
        "search",
        250,
        {"region": "eu"},
        "openai",
    )
    assert data["user"].startswith("p_")


@pytest.mark.parametrize(
    ("form", "body", "ids"),
    [
        ("openai_chat", [CHAT, CHAT | {"id": "chatcmpl-3"}], ["chatcmpl-1", "chatcmpl-3"]),
        ("openai_chat", CHUNKS, ["chatcmpl-2"]),
        ("openai_chat", [CHUNKS, CHAT], ["chatcmpl-2", "chatcmpl-1"]),
        ("openai_chat", [*CHUNKS, CHAT], ["chatcmpl-2", "chatcmpl-1"]),
        ("anthropic_messages", ANTHROPIC_STREAM, ["msg_1"]),
        ("anthropic_messages", [*ANTHROPIC_STREAM, *ANTHROPIC_STREAM], ["msg_1", "msg_1"]),
        ("gemini", GEMINI_STREAM, ["r-1"]),
    ],
)  # fmt: skip
def test_lists_and_streams_are_calls(
    api_server: Served, form: str, body: Any, ids: list[str], request: pytest.FixtureRequest
) -> None:
    organization = request.node.name
    answer = post(api_server, form, body, organization)
    assert answer.status == 200 and answer.json()["refused"] == 0, answer.json()
    events = stored(api_server, organization)
    assert [event["id"] for event in events] == ids
    assert all(event["data"]["usage_source"] == "reported" for event in events)


def test_a_stream_may_come_as_lines_or_as_it_was_sent(api_server: Served) -> None:
    lines = b"\n".join(json.dumps(chunk).encode() for chunk in CHUNKS)
    events = b"".join(b"event: x\r\ndata: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in CHUNKS)
    for body, kind in ((lines, "application/x-ndjson"), (events + b"data: [DONE]\n\n", "text/event-stream")):
        answer = post(api_server, "openai_chat", body, "as-sent", kind)
        assert answer.status == 200 and answer.json()["accepted"] == 1
    first, second = stored(api_server, "as-sent")
    assert first["data"]["tokens"] == TOKENS and first == second


def test_a_response_without_an_id_needs_one_in_a_header(api_server: Served) -> None:
    answer = post(api_server, "bedrock_converse", {"usage": {"inputTokens": 5, "outputTokens": 7}}, "no-id")
    assert answer.status == 422 and "Tallystick-Id" in answer.json()["detail"]
    for _ in range(2):
        answer = post(
            api_server, "bedrock_converse", BEDROCK_STREAM, "no-id", Tallystick_Id="call-1", Tallystick_Stream="true",
            Tallystick_Time="2026-06-01T12:00:00Z", Tallystick_Model="anthropic.claude-sonnet-4-5-20250929-v1:0",
        )  # fmt: skip
        assert answer.status == 200
    first, second = stored(api_server, "no-id")
    assert first == second and first["id"] == "call-1" and first["data"]["tokens"] == {"input": 5, "output": 7}
    assert first["data"]["model"].startswith("anthropic.claude")
    post(api_server, "openai_chat", [CHAT, CHAT | {"id": "chatcmpl-3"}], "numbered", Tallystick_Id="batch")
    assert [event["id"] for event in stored(api_server, "numbered")] == ["batch/1", "batch/2"]


def test_a_payload_of_litellm_brings_its_caller(api_server: Served) -> None:
    payload = {
        "id": "chatcmpl-1", "litellm_call_id": "call-1", "call_type": "acompletion", "status": "success",
        "startTime": 1780315200.25, "endTime": 1780315201.5, "custom_llm_provider": "openai", "model": "gpt-4o",
        "response_cost": 0.0045, "messages": [{"content": "CONTENT"}],
        "metadata": {"user_api_key_team_id": "search", "usage_object": CHAT["usage"]},
    }  # fmt: skip
    assert post(api_server, "litellm", payload, "litellm").status == 200
    (event,) = stored(api_server, "litellm")
    assert (event["id"], event["time"]) == ("call-1:chatcmpl-1", "2026-06-01T12:00:00.250000Z")
    assert event["data"]["tokens"] == TOKENS and event["data"]["team"] == "search"


def test_headers_never_change_what_the_response_says(api_server: Served) -> None:
    answer = post(
        api_server, "openai_chat", CHAT, "headers-lose", Tallystick_Tokens="1", Tallystick_Usage_Source="missing",
        Tallystick_Model_Resolved="gpt-4o-mini",
    )  # fmt: skip
    assert answer.status == 200
    (event,) = stored(api_server, "headers-lose")
    assert event["data"]["tokens"] == TOKENS and event["data"]["usage_source"] == "reported"
    assert event["data"]["model_resolved"] == "gpt-4o-2024-08-06"


def test_a_long_response_is_read_without_its_content(api_server: Served) -> None:
    image = {"created": 1_780_315_200, "data": [{"b64_json": "QUJD" * 800_000}], "usage": {
        "input_tokens": 50, "output_tokens": 1056, "total_tokens": 1106,
        "input_tokens_details": {"text_tokens": 50, "image_tokens": 0}}}  # fmt: skip
    answer = post(api_server, "openai_images", image, "long", Tallystick_Id="image-1", Tallystick_Model="gpt-image-1")
    assert answer.status == 200, answer.body
    (event,) = stored(api_server, "long")
    assert sum(event["data"]["tokens"].values()) == 1106


def test_searches_of_a_long_answer_are_counted(api_server: Served) -> None:
    """The lists of an answer and its parts may be longer than what is decoded as a whole."""
    usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5, "total_tokens": 15}
    sources = [{"type": "url", "url": f"https://example.com/CONTENT/{number}"} for number in range(1000)]
    call = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "sources": sources}}
    thoughts = {"type": "reasoning", "id": "rs_1", "encrypted_content": "CONTENT" * 50_000}
    output = [{**call, "id": "ws_1"}, thoughts, {**call, "id": "ws_2"}]
    response = {"id": "resp_1", "created_at": 1_780_315_200, "model": "gpt-5", "output": output, "usage": usage}
    chunks = [{"web": {"uri": source["url"]}} for source in sources]
    metadata = {"webSearchQueries": ["CONTENT a", "CONTENT b"], "groundingChunks": chunks}
    answer = {
        "responseId": "r-1", "modelVersion": "gemini-3-flash-preview", "candidates": [{"groundingMetadata": metadata}],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
    }  # fmt: skip
    bodies = {
        "openai_responses": response, "openai_batch": {"id": "batch_req_1", "response": {"body": response}},
        "gemini": answer, "vertex": {"key": "1", "response": answer},
    }  # fmt: skip
    for form, body in bodies.items():
        assert post(api_server, form, body, f"search-{form}").status == 200
        (event,) = stored(api_server, f"search-{form}")
        assert event["data"]["quantities"] == {"web_searches": 2}, form


@pytest.mark.parametrize(
    ("body", "kind", "headers", "status"),
    [
        (b"{", "application/json", {}, 400), (b"", "application/json", {}, 400), (b"[1]", "application/json", {}, 200),
        (b'"text"', "application/json", {}, 422), (b"", "text/event-stream", {}, 400), (b"{}", "text/plain", {}, 415),
        (b"{}", "application/json", {"Tallystick_Stream": "yes"}, 400),
        (b"{}", "application/json", {"Tallystick_Id": "x" * 300}, 400),
        (b"{}", "application/json", {"Tallystick_Time": "2026-06-01T12:00:00"}, 400),
        (b"\xff", "application/json", {}, 400), (b"[" * 10_000, "application/json", {}, 400),
    ],
)  # fmt: skip
def test_what_is_no_response_is_refused(
    api_server: Served, body: bytes, kind: str, headers: dict[str, str], status: int
) -> None:
    answer = post(api_server, "openai_chat", body, "refused", kind, **headers)
    assert answer.status == status, answer.body
    assert status != 200 or answer.json()["refused"] == 1


def test_a_form_that_is_not_known_is_answered_with_the_list(api_server: Served) -> None:
    answer = post(api_server, "nobody", CHAT, "nobody")
    assert answer.status == 404
    assert all(form in answer.json()["detail"] for form in list_forms())
    assert api_server.ask("/v1/usage/nobody", "GET").status == 405


@pytest.mark.parametrize("form", list_forms())
def test_every_form_has_its_endpoint(api_server: Served, form: str) -> None:
    assert post(api_server, form, {}, "every", Tallystick_Id="1").status == 200
    assert stored(api_server, "every")[-1]["data"]["usage_source"] == "missing"


def test_a_response_without_usage_keeps_its_model(api_server: Served) -> None:
    response = {name: value for name, value in CHAT.items() if name != "usage"} | {"id": "chatcmpl-9"}
    assert post(api_server, "openai_chat", response, "model-kept").status == 200
    (event,) = stored(api_server, "model-kept")
    assert event["data"]["model_resolved"] == CHAT["model"] and event["data"]["usage_source"] == "missing"
