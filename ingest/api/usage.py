"""``POST /v1/usage/{form}``: providers' responses and the chunks of their streams, as they came."""

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from ingest.adapters.usage_payloads import (
    Identity,
    build_events,
    decode_stripped,
    list_stream_data,
    split_calls,
)
from ingest.api import body
from ingest.api.accept_events import work_in_turns
from ingest.api.event_headers import EventHeaders
from ingest.api.problem import Problem
from ingest.intake.rejection import Rejection
from ingest.surrogates import repair_surrogates
from tallystick.usage.reader import list_forms

JSON, STREAM = "application/json", "text/event-stream"
KINDS = body.Kinds(
    (JSON, *body.LINES, STREAM),
    f"send a response, or a list, as {JSON}, one a line as {body.LINES[0]}, or a stream as it came as {STREAM}",
)


class Calls(NamedTuple):
    """The calls of a body, each the decoded parts of one; ``is_single`` where the body is one call."""

    parts: list[list[Any]]
    is_single: bool


def check_form(name: str) -> None:
    """Check the name of a form. Problem where there is none of that name."""
    if name not in list_forms():
        raise Problem(
            HTTPStatus.NOT_FOUND, f"no form of usage is named {name[:64]!a}: use one of {', '.join(list_forms())}"
        )


def read_calls(raw: bytes, content_type: str, headers: EventHeaders) -> Calls:
    """Read the calls of a body, in turns with other requests. Problem where it is no JSON, or has too many parts."""
    is_stream = headers.is_stream or body.media_type(content_type) == STREAM
    if body.media_type(content_type) == STREAM:
        parts, is_one = list_stream_data(repair_surrogates(raw)), True
    else:
        events = body.split_events(raw, content_type)
        parts, is_one = events.raw, events.single or is_stream
    if len(parts) > body.MAX_EVENTS:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body has {len(parts):,} parts, and may have {body.MAX_EVENTS:,}: send those that have usage",
        )
    if not parts:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body is empty: send a provider's response, or a stream's chunks")
    items = list(work_in_turns(map(_decode, parts)))
    return Calls(split_calls(items, is_stream=is_stream), is_one)


def build_request_events(calls: Calls, form: str, headers: EventHeaders) -> Iterator[dict[str, Any] | Rejection]:
    """Build the events of a request's calls; the headers say what responses lack."""
    identity = Identity(headers.id, headers.source, headers.time)
    return build_events(calls.parts, form, identity, headers.fields, datetime.now(UTC))


def _decode(raw: bytes) -> Any:
    try:
        return decode_stripped(raw)
    except (ValueError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "the body is not JSON: send a provider's response, or a list, or one a line",
        ) from None
