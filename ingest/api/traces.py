"""``POST /v1/traces``: OTLP/HTTP, its answers and its errors."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ingest.adapters.otlp_traces import JSON, MEDIA_TYPES, PROTOBUF, Encoding
from ingest.adapters.otlp_traces import find_encoding as find_otlp_encoding
from ingest.api import body
from ingest.api.accept_events import Answer, work_in_turns
from ingest.api.event_headers import EventHeaders
from ingest.api.problem import Problem
from ingest.intake.rejection import Rejection
from ingest.spans.calls import Call, build_events
from ingest.spans.span import MalformedRequest, Span

KINDS = body.Kinds(MEDIA_TYPES, f"send OTLP traces as {PROTOBUF} or {JSON}")
MAX_REASONS = 5
"""Different reasons of rejections that an answer names."""

_RPC_CODES = {
    HTTPStatus.BAD_REQUEST: 3, HTTPStatus.UNAUTHORIZED: 16, HTTPStatus.FORBIDDEN: 7, HTTPStatus.SERVICE_UNAVAILABLE: 14,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: 8,
}  # fmt: skip
"""Codes of gRPC: invalid argument, unauthenticated, permission denied, unavailable, resource exhausted."""
_INVALID_ARGUMENT = 3


def find_encoding(content_type: str) -> Encoding:
    encoding = find_otlp_encoding(content_type)
    assert encoding is not None, "the media type is checked before the body is received"
    return encoding


def read_spans(encoding: Encoding, raw: bytes) -> list[Span]:
    """Read the spans of a body, in turns with other requests. Problem where it is no request of OTLP."""
    try:
        return list(work_in_turns(encoding.read_spans(raw)))
    except MalformedRequest as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body cannot be read as {encoding.media_type}: {error}") from None


def build_request_events(calls: list[Call], headers: EventHeaders) -> Iterator[dict[str, Any] | Rejection]:
    """Build the events of a request's calls; the headers say what spans lack."""
    defaults = dict(headers.fields)
    if headers.source:
        defaults["source"] = headers.source
    return build_events(calls, defaults)


def render_answer(encoding: Encoding, answer: Answer) -> Response:
    """Render the answer: with a partial success where calls were rejected, which senders log and do not repeat."""
    reasons = dict.fromkeys(
        ": ".join(filter(None, (result["field"], result["reason"]))) for result in answer.results if "reason" in result
    )
    message = "; ".join(list(reasons)[:MAX_REASONS])
    return Response(encoding.render_response(answer.refused, message), media_type=encoding.media_type)


def render_problem(request: Request, problem: Problem) -> Response:
    """Render a problem as OTLP asks for: a ``google.rpc.Status`` in the encoding of the request. A body that arrived
    too slowly is to be sent again, for which OTLP has no status but 503."""
    encoding = find_otlp_encoding(request.headers.get("content-type", "")) or find_otlp_encoding(JSON)
    assert encoding is not None
    status = problem.status
    if status is HTTPStatus.REQUEST_TIMEOUT:
        status = HTTPStatus.SERVICE_UNAVAILABLE
    headers = {"X-Content-Type-Options": "nosniff"}
    if problem.retry_s is not None:
        headers["Retry-After"] = str(problem.retry_s)
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="tally"'
    content = encoding.render_status(_RPC_CODES.get(status, _INVALID_ARGUMENT), problem.detail)
    return Response(content, int(status), headers, encoding.media_type)
