"""Headers that carry the fields which a source's format lacks: ``Tallystick-Team: search``."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from starlette.datastructures import Headers

from ingest.api.problem import Problem
from tallystick.vocabulary.attribute_names import HEADER_PREFIX, read_headers
from tallystick.vocabulary.base import time_of

ID, SOURCE, TIME, STREAM = (f"{HEADER_PREFIX}{name}" for name in ("Id", "Source", "Time", "Stream"))
"""The identity and the time of an event, and whether the body is the chunks of one stream."""
MAX_HEADERS = 64
MAX_IDENTITY_LENGTH = 256


class EventHeaders(NamedTuple):
    """The identity and time that the headers carry, and the fields of the vocabulary."""

    id: str | None
    source: str | None
    time: str | None
    is_stream: bool
    fields: Mapping[str, Any]

    def complete(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return fields of a source, and those of the headers that it lacks."""
        lacking = {name: value for name, value in self.fields.items() if fields.get(name) is None}
        return {**fields, **lacking}


NO_HEADERS = EventHeaders(None, None, None, False, {})


def read_event_headers(headers: Headers) -> EventHeaders:
    """Read the headers of a request. Problem where one is given twice, or has no value that it can have."""
    prefix = HEADER_PREFIX.lower()
    pairs = [(name, _decode(value)) for name, value in headers.items() if name.startswith(prefix)]
    if not pairs:
        return NO_HEADERS
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem(HTTPStatus.BAD_REQUEST, f"the header {twice[:100]!a} is given twice: send it once")
    if len(pairs) > MAX_HEADERS:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"{len(pairs)} headers begin with {HEADER_PREFIX}: send at most {MAX_HEADERS}",
        )
    id, source, time, stream = (values.pop(name.lower(), None) for name in (ID, SOURCE, TIME, STREAM))
    return EventHeaders(
        _check_length(ID, id),
        _check_length(SOURCE, source),
        _check_time(time),
        _read_flag(stream),
        read_headers(values.items()),
    )


def _decode(value: str) -> str:
    """Return a header's text, which servers hand on as Latin-1, and clients write in UTF-8."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _check_length(name: str, value: str | None) -> str | None:
    if value is not None and not 1 <= len(value) <= MAX_IDENTITY_LENGTH:
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"the header {name} has {len(value)} characters: send 1 to {MAX_IDENTITY_LENGTH}"
        )
    return value


def _check_time(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        moment = time_of(value)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the header {TIME} {error}") from None
    if moment.tzinfo is None:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the header {TIME} names no zone: write 2026-06-01T12:00:00Z")
    return value


def _read_flag(value: str | None) -> bool:
    if value not in (None, "true", "false"):
        raise Problem(HTTPStatus.BAD_REQUEST, f"the header {STREAM} is neither true nor false")
    return value == "true"
