"""Spans of OpenTelemetry's SDK, exported by its own exporter to ``POST /v1/traces``."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.test import TestModel


@pytest.fixture
def tracing(ledger: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[TracerProvider]:
    """A tracer provider that is configured by the environment alone, as an application would be."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", ledger.url)
    headers = f"Authorization=Bearer%20{ledger.bearer},Tallystick-Team=search"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", headers)
    provider = TracerProvider(resource=Resource({"service.name": request.node.name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(compression=Compression.Gzip)))
    yield provider
    provider.shutdown()


def test_spans_become_events(tracing: TracerProvider, ledger: Any, request: pytest.FixtureRequest) -> None:
    tracer = tracing.get_tracer("test")
    with tracer.start_as_current_span("invoke_agent tutor", attributes={
        "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "tutor", "gen_ai.usage.input_tokens": 1000,
    }), tracer.start_as_current_span("chat gpt-4o", attributes={
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.id": "chatcmpl-otel", "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 200,
        "gen_ai.usage.cache_read.input_tokens": 300, "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.input.messages": "QZXMARKED prompt",
    }) as span:  # fmt: skip
        span.add_event("gen_ai.content", {"text": "QZXMARKED answer"})
    assert tracing.force_flush()
    (event,) = ledger.list_events(request.node.name)
    assert event["id"] == "openai:chatcmpl-otel"
    assert event["data"]["tokens"] == {"input": 700, "cache_read": 300, "output": 200}
    assert (event["data"]["agent"], event["data"]["team"]) == ("tutor", "search")


def test_pydantic_ai_traces_each_call_once(
    tracing: TracerProvider, ledger: Any, request: pytest.FixtureRequest
) -> None:
    agent = Agent(TestModel(), name="tutor")
    agent.instrument = InstrumentationSettings(tracer_provider=tracing)

    @agent.tool_plain
    def lookup(word: str) -> str:
        return "QZXMARKED result"

    result = agent.run_sync("QZXMARKED prompt")
    assert tracing.force_flush()
    events = ledger.list_events(request.node.name)
    usage = result.usage() if callable(result.usage) else result.usage
    assert len(events) == usage.requests == 2
    assert sum(sum(event["data"]["tokens"].values()) for event in events) == usage.input_tokens + usage.output_tokens
    assert {event["data"]["agent"] for event in events} == {"tutor"}
