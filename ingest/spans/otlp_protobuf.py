"""Requests and responses of OTLP traces in protobuf (``opentelemetry/proto/collector/trace/v1``, OTLP 1.x).

The few fields that are read are found by their numbers, and everything else is stepped over by its length: no message
is built of what a span holds besides, and a hostile body of a million small messages takes no more memory than its
bytes.
"""

import math
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ingest.spans.attribute_names import MAX_NAME_LENGTH, Slot, find_slot
from ingest.spans.span import MAX_GROUPS, MAX_SPANS, MalformedRequest, Slots, Span, collect_slots

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
"""Wire types; the lower three bits of a tag."""
_MAX_SHIFT = 63
_MASK64 = (1 << 64) - 1
_MAX_SHORT_INT_BYTES = 8
"""Bytes of a varint that is no negative number."""
_MAX_ITEMS = 8
"""Items of a list that are read; finish reasons are one for each choice."""

# Tags: the number of a field, times eight, and its wire type.
_REQUEST_RESOURCE_SPANS = _RESOURCE = _RESOURCE_ATTRIBUTE = _KEY = _STRING = _ITEM = 1 << 3 | _LENGTH
_SCOPE_SPANS = _SPANS = _VALUE = 2 << 3 | _LENGTH
_TRACE_ID, _SPAN_ID, _PARENT_SPAN_ID = 1 << 3 | _LENGTH, 2 << 3 | _LENGTH, 4 << 3 | _LENGTH
_START_TIME, _END_TIME = 7 << 3 | _FIXED64, 8 << 3 | _FIXED64
_ATTRIBUTE, _STATUS = 9 << 3 | _LENGTH, 15 << 3 | _LENGTH
_STATUS_CODE, _STATUS_ERROR = 3 << 3 | _VARINT, 2
_BOOL, _INT, _DOUBLE, _ARRAY = 2 << 3 | _VARINT, 3 << 3 | _VARINT, 4 << 3 | _FIXED64, 5 << 3 | _LENGTH

_unpack_fixed64 = struct.Struct("<Q").unpack_from
_unpack_double = struct.Struct("<d").unpack_from


def read_spans(body: bytes) -> Iterator[Span]:
    """Read the spans of a request, one after the other. MalformedRequest where it is none."""
    groups = spans = 0
    try:
        for tag, start, end in _iterate_fields(body, 0, len(body)):
            if tag != _REQUEST_RESOURCE_SPANS:
                continue
            resource: Slots = {}
            scopes: list[tuple[int, int]] = []
            for inner_tag, inner_start, inner_end in _iterate_fields(body, start, end):
                if inner_tag == _RESOURCE:
                    resource = _read_attributes(body, inner_start, inner_end, _RESOURCE_ATTRIBUTE)
                elif inner_tag == _SCOPE_SPANS:
                    scopes.append((inner_start, inner_end))
            groups += 1 + len(scopes)
            if groups > MAX_GROUPS:
                raise MalformedRequest(f"it has more than {MAX_GROUPS:,} resources and scopes: send several requests")
            for scope_start, scope_end in scopes:
                for inner_tag, inner_start, inner_end in _iterate_fields(body, scope_start, scope_end):
                    if inner_tag == _SPANS:
                        spans += 1
                        if spans > MAX_SPANS:
                            raise MalformedRequest(f"it has more than {MAX_SPANS:,} spans: send several requests")
                        yield _read_span(body, inner_start, inner_end, resource)
    except (IndexError, struct.error, UnicodeDecodeError):
        raise _malformed_request() from None


def render_response(rejected: int, message: str) -> bytes:
    """Render an ExportTraceServiceResponse; empty where every span was taken."""
    if not rejected and not message:
        return b""
    partial_success = (_encode_field(1, rejected) if rejected else b"") + _encode_text(2, message)
    return _encode_bytes(1, partial_success)


def render_status(code: int, message: str) -> bytes:
    """Render a ``google.rpc.Status``: its code, and its message."""
    return _encode_field(1, code) + _encode_text(2, message)


def _read_span(body: bytes, start: int, end: int, resource: Slots) -> Span:
    ids = {_TRACE_ID: "", _SPAN_ID: "", _PARENT_SPAN_ID: ""}
    times = {_START_TIME: 0, _END_TIME: 0}
    is_error = False
    attributes: list[tuple[Slot, Any]] = []
    for tag, inner_start, inner_end in _iterate_fields(body, start, end):
        if tag == _ATTRIBUTE:
            if (attribute := _read_attribute(body, inner_start, inner_end)) is not None:
                attributes.append(attribute)
        elif tag in times:
            (times[tag],) = _unpack_fixed64(body, inner_start)
        elif tag in ids:
            ids[tag] = body[inner_start:inner_end].hex() if inner_end - inner_start <= 16 else ""
        elif tag == _STATUS:
            is_error = any(
                status_tag == _STATUS_CODE and code == _STATUS_ERROR
                for status_tag, code, _ in _iterate_fields(body, inner_start, inner_end)
            )
    return Span(
        ids[_TRACE_ID] if len(ids[_TRACE_ID]) == 32 else "",
        ids[_SPAN_ID] if len(ids[_SPAN_ID]) == 16 else "",
        ids[_PARENT_SPAN_ID] if len(ids[_PARENT_SPAN_ID]) == 16 else "",
        times[_START_TIME],
        times[_END_TIME],
        is_error,
        collect_slots(attributes),
        resource,
    )


def _read_attributes(body: bytes, start: int, end: int, attribute_tag: int) -> Slots:
    return collect_slots(
        attribute
        for tag, inner_start, inner_end in _iterate_fields(body, start, end)
        if tag == attribute_tag and (attribute := _read_attribute(body, inner_start, inner_end)) is not None
    )


def _read_attribute(body: bytes, start: int, end: int) -> tuple[Slot, Any] | None:
    """Return slot and value of an attribute that is read; None for every other one. Writers put the name first, so
    that most attributes end there."""
    slot: Slot | None = None
    if start < end and body[start] == _KEY and (length := body[start + 1]) <= MAX_NAME_LENGTH - 1:
        name_end = start + 2 + length
        if name_end > end:
            raise _malformed_request()
        slot = _find_slot(body[start + 2 : name_end])
        if slot is None:
            return None
        if (short := _read_short_value(body, name_end, end)) is not None:
            return slot, short
        start = name_end
    value = (0, 0)
    for tag, inner_start, inner_end in _iterate_fields(body, start, end):
        if tag == _VALUE:
            value = inner_start, inner_end
        elif tag == _KEY:
            slot = _find_slot(body[inner_start:inner_end]) if inner_end - inner_start <= MAX_NAME_LENGTH else None
    return (slot, _read_value(body, *value)) if slot else None


def _read_short_value(body: bytes, start: int, end: int) -> Any:
    """Return the value of an attribute that is a text or a number of less than 126 bytes, as most are; None for any
    other."""
    length = end - start - 2
    if not 2 <= length < 128 or body[start] != _VALUE or body[start + 1] != length:
        return None
    kind = body[start + 2]
    if kind == _STRING and body[start + 3] == length - 2:
        return body[start + 4 : end].decode()
    if kind == _INT and length <= _MAX_SHORT_INT_BYTES + 1:
        number, position = _decode_varint(body, start + 3)
        return number if position == end else None
    return None


@lru_cache(maxsize=4096)
def _find_slot(name: bytes) -> Slot | None:
    return find_slot(name.decode())


def _read_value(body: bytes, start: int, end: int, *, is_item: bool = False) -> Any:
    """Return a value of one part, or a list of them; None for bytes, and for values within values."""
    value: Any = None
    for tag, inner_start, inner_end in _iterate_fields(body, start, end):
        if tag == _STRING:
            value = body[inner_start:inner_end].decode()
        elif tag == _INT:
            value = inner_start - (1 << 64) if inner_start >> 63 else inner_start
        elif tag == _DOUBLE:
            (number,) = _unpack_double(body, inner_start)
            value = number if math.isfinite(number) else None
        elif tag == _BOOL:
            value = bool(inner_start)
        elif tag == _ARRAY and not is_item:
            value = _read_items(body, inner_start, inner_end)
    return value


def _read_items(body: bytes, start: int, end: int) -> list[Any]:
    items: list[Any] = []
    for tag, inner_start, inner_end in _iterate_fields(body, start, end):
        if tag == _ITEM and (item := _read_value(body, inner_start, inner_end, is_item=True)) is not None:
            items.append(item)
            if len(items) == _MAX_ITEMS:
                break
    return items


def _iterate_fields(body: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the tag of each field of a message, and start and end of its content; for a varint its value. Raises
    MalformedRequest, or IndexError behind the last byte."""
    while position < end:
        tag = body[position]
        position += 1
        if tag > 0x7F:
            tag, position = _decode_varint(body, position - 1)
        wire_type = tag & 7
        if wire_type == _LENGTH:
            length = body[position]
            position += 1
            if length > 0x7F:
                length, position = _decode_varint(body, position - 1)
            start, position = position, position + length
            if position > end:
                raise _malformed_request()
            yield tag, start, position
        elif wire_type == _VARINT:
            value, position = _decode_varint(body, position)
            yield tag, value, position
        elif wire_type in (_FIXED64, _FIXED32):
            start, position = position, position + (8 if wire_type == _FIXED64 else 4)
            if position > end:
                raise _malformed_request()
            yield tag, start, position
        else:
            raise _malformed_request()
    if position != end:
        raise _malformed_request()


def _decode_varint(body: bytes, position: int) -> tuple[int, int]:
    """Return a number of 64 bits, and the position behind it."""
    number = shift = 0
    while True:
        byte = body[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & _MASK64, position
        shift += 7
        if shift > _MAX_SHIFT:
            raise _malformed_request()


def _encode_varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _encode_field(field: int, number: int) -> bytes:
    return _encode_varint(field << 3 | _VARINT) + _encode_varint(number)


def _encode_bytes(field: int, content: bytes) -> bytes:
    return _encode_varint(field << 3 | _LENGTH) + _encode_varint(len(content)) + content


def _encode_text(field: int, text: str) -> bytes:
    return _encode_bytes(field, text.encode()) if text else b""


def _malformed_request() -> MalformedRequest:
    return MalformedRequest("it is incomplete, or no ExportTraceServiceRequest in protobuf")
