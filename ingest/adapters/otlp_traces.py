"""Traces of OpenTelemetry over OTLP/HTTP, in protobuf and JSON: the inference spans of a request as events."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ingest.spans import otlp_json, otlp_protobuf
from ingest.spans.span import Span

PROTOBUF, JSON = "application/x-protobuf", "application/json"


class Encoding(NamedTuple):
    """One of OTLP's two encodings: a request's spans, and its answers."""

    media_type: str
    read_spans: Callable[[bytes], Iterator[Span]]
    render_response: Callable[[int, str], bytes]
    render_status: Callable[[int, str], bytes]


_ENCODINGS = {
    name: Encoding(name, module.read_spans, module.render_response, module.render_status)
    for name, module in ((PROTOBUF, otlp_protobuf), (JSON, otlp_json))
}
_ENCODINGS["application/protobuf"] = _ENCODINGS[PROTOBUF]
MEDIA_TYPES = tuple(_ENCODINGS)


def find_encoding(content_type: str) -> Encoding | None:
    """Return the encoding of a media type; None for any other."""
    return _ENCODINGS.get(content_type.partition(";")[0].strip().lower())
