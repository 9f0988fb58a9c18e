"""Requests of OTLP, built with the messages of opentelemetry-proto."""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ingest.spans import otlp_protobuf
from ingest.spans.calls import build_events, select_calls

START_NS = 1_780_315_200_000_000_000
TRACE_ID = bytes(range(16))


def wrap(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
    return AnyValue(array_value=ArrayValue(values=map(wrap, value)))


def wrap_attributes(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=wrap(value)) for name, value in attributes.items()]


def span(
    number: int, attributes: Mapping[str, Any], parent: int = 0, *, trace: bytes = TRACE_ID, error: bool = False,
    latency_ms: int = 1500,
) -> Span:  # fmt: skip
    """A span whose id is a number."""
    return Span(
        trace_id=trace, span_id=number.to_bytes(8, "big"), name="a name that may be content",
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        start_time_unix_nano=START_NS, end_time_unix_nano=START_NS + latency_ms * 1_000_000,
        attributes=wrap_attributes(attributes),
        status=Status(code=Status.STATUS_CODE_ERROR if error else Status.STATUS_CODE_UNSET),
    )  # fmt: skip


def request(spans: Iterable[Span], resource: Mapping[str, Any] | None = None) -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.extend(wrap_attributes({"service.name": "search-api"} if resource is None else resource))
    group.scope_spans.add().spans.extend(spans)
    return message


def to_protobuf(message: ExportTraceServiceRequest) -> bytes:
    encoded: bytes = message.SerializeToString()
    return encoded


def to_json(message: ExportTraceServiceRequest) -> bytes:
    """The JSON of OTLP, whose ids are hexadecimal digits and not base64."""
    document = json_format.MessageToDict(message)
    for group in document.get("resourceSpans", []):
        for scope in group.get("scopeSpans", []):
            for item in scope.get("spans", []):
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in item:
                        item[name] = base64.b64decode(item[name]).hex()
    return json.dumps(document).encode()


def read(spans: Iterable[Span], resource: Mapping[str, Any] | None = None) -> list[Any]:
    """The events of a request, or the reasons why there is none."""
    read_spans = list(otlp_protobuf.read_spans(to_protobuf(request(spans, resource))))
    return list(build_events(select_calls(read_spans), {}))


CHAT: dict[str, Any] = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 200,
}  # fmt: skip
