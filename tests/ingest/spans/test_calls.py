"""Which spans are charged: each call once, whatever wraps it or describes it a second time."""

from typing import Any

import pytest

from ingest.intake.rejection import Rejection
from ingest.spans.calls import Call, ChargedParents
from ingest.spans.span import Span
from tallystick import Inference
from tests.ingest.spans.build import CHAT, read, span

USAGE = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 200}
AGENT = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "tutor",
    "gen_ai.request.model": "gpt-4o",
} | USAGE
OPENINFERENCE = {
    "openinference.span.kind": "LLM", "llm.model_name": "gpt-4o", "llm.provider": "openai",
    "llm.token_count.prompt": 1000, "llm.token_count.completion": 200, "llm.token_count.total": 1200,
}  # fmt: skip
OPENLLMETRY = {
    "llm.request.type": "chat", "gen_ai.system": "OpenAI", "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.prompt_tokens": 1000, "gen_ai.usage.completion_tokens": 200, "llm.usage.total_tokens": 1200,
}  # fmt: skip
VERCEL = {
    "ai.operationId": "ai.generateText.doGenerate", "ai.model.id": "gpt-4o", "ai.model.provider": "openai.chat",
    "ai.usage.inputTokens": 1000, "ai.usage.outputTokens": 200, "ai.usage.totalTokens": 1200,
}  # fmt: skip
OLDER = {"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o"} | USAGE
EMBEDDING = {
    "gen_ai.operation.name": "embeddings", "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "text-embedding-3-small", "gen_ai.usage.input_tokens": 1000,
}  # fmt: skip


def data(events: list[Any]) -> list[dict[str, Any]]:
    assert not [event for event in events if isinstance(event, Rejection)]
    for event in events:
        Inference.model_validate(event["data"])
    return [event["data"] for event in events]


@pytest.mark.parametrize("attributes", [CHAT, OPENINFERENCE, OPENLLMETRY, VERCEL, OLDER])
def test_every_vocabulary_names_the_same_call(attributes: dict[str, Any]) -> None:
    (call,) = data(read([span(1, attributes)]))
    assert (call["provider"], call["model"]) == ("openai", "gpt-4o")
    assert call["tokens"] == {"input": 1000, "output": 200}
    assert call["status"] == "ok" and call["latency_ms"] == 1500 and call["ingress"] == "telemetry"


@pytest.mark.parametrize(
    "attributes",
    [
        AGENT, AGENT | {"gen_ai.operation.name": "create_agent"}, AGENT | {"gen_ai.operation.name": "invoke_workflow"},
        OPENINFERENCE | {"openinference.span.kind": "AGENT"}, OPENINFERENCE | {"openinference.span.kind": "CHAIN"},
        {"traceloop.span.kind": "workflow"} | USAGE, VERCEL | {"ai.operationId": "ai.generateText"},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "grep"}, {"http.method": "POST"},
        {"agent_name": "tutor", "model_name": "gpt-4o"} | USAGE, CHAT | {"logfire.span_type": "pending_span"},
        {"gen_ai.operation.name": "some_wrapper"} | USAGE,
    ],
)  # fmt: skip
def test_spans_that_are_no_calls_are_never_charged(attributes: dict[str, Any]) -> None:
    assert read([span(1, attributes)]) == []


def test_an_agent_names_its_calls_and_is_not_charged_itself() -> None:
    spans = [
        span(1, AGENT | {"gen_ai.conversation.id": "c-1", "tallystick.team": "search", "user.id": "u-1"}),
        span(2, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "grep"}, parent=1),
        span(3, CHAT, parent=2),
        span(4, CHAT | {"gen_ai.agent.name": "own"}, parent=1),
    ]
    first, second = data(read(reversed(spans)))[::-1]
    assert [first[name] for name in ("agent", "session", "team", "user")] == ["tutor", "c-1", "search", "u-1"]
    assert second["agent"] == "own" and second["session"] == "c-1"
    assert first["root_call"] == second["root_call"] and first["parent_call"] == f"{2:016x}"


def test_of_calls_within_one_another_the_innermost_with_usage_counts() -> None:
    wrapped = [span(1, OPENINFERENCE, trace=bytes(16)[:-1] + b"1"), span(2, CHAT, 1, trace=bytes(16)[:-1] + b"1")]
    (call,) = read(wrapped)
    assert call["id"].endswith(f"{2:016x}")
    without_usage = {name: value for name, value in CHAT.items() if "usage" not in name}
    (call,) = read([span(1, OPENINFERENCE), span(2, without_usage, 1)])
    assert call["id"].endswith(f"{1:016x}") and call["data"]["tokens"]


def test_two_instrumentations_of_one_call_count_once() -> None:
    answer = {"gen_ai.response.id": "chatcmpl-1"}
    without_usage = {name: value for name, value in CHAT.items() if "usage" not in name}
    for first, second in ((CHAT, OPENLLMETRY), (without_usage, OPENLLMETRY), (OPENLLMETRY, without_usage)):
        (call,) = read([span(1, first | answer), span(2, second | answer | {"session.id": "s-1"})])
        assert call["data"]["tokens"] and call["data"]["session"] == "s-1"
        assert call["id"] == "openai:chatcmpl-1"
    assert len(read([span(1, CHAT | answer | {"gen_ai.system": "ollama", "gen_ai.provider.name": "ollama"}),
                     span(2, CHAT | answer | {"gen_ai.provider.name": "ollama"})])) == 2  # fmt: skip


def test_an_embedding_has_no_output() -> None:
    (call,) = data(read([span(1, EMBEDDING)]))
    assert call["tokens"] == {"input": 1000} and call["operation"] == "embeddings"


def test_status_and_error() -> None:
    failed, aborted, plain = data(
        read([
            span(1, CHAT | {"error.type": "RateLimitError"}, error=True),
            span(2, {"gen_ai.operation.name": "chat", "error.type": "asyncio.exceptions.CancelledError"}, error=True),
            span(3, CHAT, error=True),
        ])
    )  # fmt: skip
    assert (failed["status"], failed["error_code"]) == ("error", "RateLimitError")
    assert (aborted["status"], aborted["usage_source"]) == ("aborted", "missing")
    assert plain["status"] == "error"


def test_fields_of_ours_and_labels_of_applications() -> None:
    (call,) = data(
        read(
            [span(1, CHAT | {
                "tallystick.team": "search", "tallystick.tags.region": "eu", "tallystick.feature": 7,
                "tallystick.tokens": 5, "tallystick.nothing": "x", "tallystick.payer": "customer",
                "traceloop.association.properties.user_id": "ann",
                "traceloop.association.properties.question": "why",
                "ai.telemetry.metadata.sessionId": "s-1", "metadata": '{"customer_id": "c-1", "question": "why"}',
                "openai.response.service_tier": "flex", "gen_ai.usage.cost": 0.0045,
                "gen_ai.request.max_tokens": 100,
                "gen_ai.response.finish_reasons": ["stop", "length"], "gen_ai.response.time_to_first_chunk": 0.25,
            })],
            {"service.name": "api", "deployment.environment.name": "production"},
        )
    )  # fmt: skip
    expected = {
        "team": "search", "feature": "7", "payer": "customer", "user": "ann", "session": "s-1", "customer": "c-1",
        "environment": "production",
    }  # fmt: skip
    assert call | expected == call
    assert call["tags"] == {"region": "eu"} and call["service_tier"] == "flex" and call["finish_reason"] == "stop"
    assert (call["claimed_cost"], call["max_tokens"], call["time_to_first_token_ms"]) == ("0.0045", 100, 250)
    assert call["tokens"] == {"input": 1000, "output": 200}
    assert call["left_out"] == ["tallystick.nothing", "tallystick.tokens"]


@pytest.mark.parametrize(
    ("name", "host", "provider"),
    [
        ("aws.bedrock", None, "aws"), ("az.ai.openai", None, "azure"), ("gcp.vertex_ai", None, "google"),
        ("Anthropic", None, "anthropic"), ("x_ai", None, "x-ai"), ("mistral_ai", None, "mistral"),
        ("google.generative-ai", None, "google"), ("openai", "api.x.ai", "x-ai"),
        ("openai", "api.openai.com", "openai"),
        ("openai", "https://openrouter.ai/api/v1", "openrouter"), ("openai", "my.openai.azure.com", "azure"),
        ("a-gateway", None, "a-gateway"),
    ],
)  # fmt: skip
def test_providers_have_the_names_of_price_books(name: str, host: str | None, provider: str) -> None:
    (call,) = data(read([span(1, CHAT | {"gen_ai.provider.name": name} | ({"server.address": host} if host else {}))]))
    assert call["provider"] == provider


def test_a_span_without_identity_or_time_is_rejected() -> None:
    messages = [span(number, CHAT) for number in (1, 2, 3)]
    messages[0].trace_id, messages[1].span_id, messages[2].start_time_unix_nano = b"", b"", 0
    assert all(isinstance(rejection, Rejection) for rejection in read(messages))


def test_the_memory_of_charged_calls_is_bounded() -> None:
    spans = [Span(f"{number:032x}", f"{2:016x}", f"{1:016x}", 1, 2, False, {"input": 1}) for number in range(5)]
    parents = ChargedParents(max_count=3)
    parents.add("acme", [Call(item, {}) for item in spans])
    around = [item._replace(span_id=item.parent_id, parent_id="") for item in spans]
    assert [parents.is_parent("acme", item) for item in around] == [False, False, True, True, True]
    assert not parents.is_parent("other", around[-1])


def test_parents_in_a_circle_end() -> None:
    assert len(read([span(1, AGENT, parent=2), span(2, AGENT, parent=1), span(3, CHAT, parent=1)])) == 1
