"""Requests and responses of OTLP traces in JSON: names in lowerCamelCase, ids in hexadecimal digits, and 64-bit numbers
as strings or numbers (OTLP 1.x, JSON Protobuf Encoding). Unknown fields are skipped."""

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from ingest.spans.attribute_names import MAX_NAME_LENGTH, find_slot
from ingest.spans.span import MAX_GROUPS, MAX_SPANS, MalformedRequest, Slots, Span, collect_slots
from ingest.surrogates import repair_surrogates

_MAX_INT64_DIGITS = 20
MAX_DOUBLE_LENGTH = 32
_NO_BYTES = msgspec.Raw(b"null")


class _ScopeSpans(msgspec.Struct):
    spans: list[msgspec.Raw] | None = None


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw = _NO_BYTES
    scope_spans: list[_ScopeSpans] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


class _Array(msgspec.Struct):
    values: list["_Value"] | None = None


class _Value(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: str | int | float | None = None
    double_value: str | int | float | None = None
    array_value: _Array | None = None


class _Attribute(msgspec.Struct):
    key: str = ""
    value: msgspec.Raw = _NO_BYTES


class _Resource(msgspec.Struct):
    attributes: list[_Attribute] | None = None


class _Status(msgspec.Struct):
    code: int | str | None = None


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str | None = ""
    start_time_unix_nano: str | int | None = 0
    end_time_unix_nano: str | int | None = 0
    attributes: list[_Attribute] | None = None
    status: _Status | None = None


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_resource = msgspec.json.Decoder(_Resource | None).decode
_decode_span = msgspec.json.Decoder(_Span | None).decode
_decode_value = msgspec.json.Decoder(_Value | None).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def read_spans(body: bytes) -> Iterator[Span]:
    """Read the spans of a request, one after the other. MalformedRequest where it is none."""
    try:
        request = _decode_request(repair_surrogates(body))
        groups = request.resource_spans or []
        scopes = [scope for group in groups for scope in group.scope_spans or []]
        if len(groups) + len(scopes) > MAX_GROUPS:
            raise MalformedRequest(f"it has more than {MAX_GROUPS:,} resources and scopes: send several requests")
        if sum(len(scope.spans or []) for scope in scopes) > MAX_SPANS:
            raise MalformedRequest(f"it has more than {MAX_SPANS:,} spans: send several requests")
        for group in groups:
            resource = _read_resource(group.resource)
            for scope in group.scope_spans or []:
                for raw in scope.spans or []:
                    if (span := _decode_fitting(raw)) is not None:
                        yield _convert_span(span, resource)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedRequest("it is not the JSON of an ExportTraceServiceRequest") from None


def render_response(rejected: int, message: str) -> bytes:
    """Render an ExportTraceServiceResponse; empty where every span was taken."""
    if not rejected and not message:
        return b"{}"
    return _encode({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}})


def render_status(code: int, message: str) -> bytes:
    """Render a ``google.rpc.Status``."""
    return _encode({"code": code, "message": message})


def _decode_fitting(raw: msgspec.Raw) -> _Span | None:
    """Decode a span, without those of its attributes that are none, and without a status that is none. None for what is
    no span: neither costs the spans beside it."""
    try:
        fitting: _Span | None = _decode_span(raw)
        return fitting
    except msgspec.ValidationError:
        span = _decode_any(raw)
    if not isinstance(span, dict):
        return None
    attributes = span.get("attributes")
    span["attributes"] = [
        attribute
        for attribute in (attributes if isinstance(attributes, list) else ())
        if isinstance(attribute, dict) and isinstance(attribute.get("key"), str)
    ]
    status = span.get("status")
    is_status = isinstance(status, dict) and isinstance(status.get("code"), int | str)
    repaired: _Span | None = _decode_span(_encode(span | {"status": status if is_status else None}))
    return repaired


def _read_resource(raw: msgspec.Raw) -> Slots:
    try:
        resource = _decode_resource(raw)
    except msgspec.ValidationError:
        resource = None
    return _read_attributes(resource.attributes if resource else None)


def _convert_span(span: _Span, resource: Slots) -> Span:
    code = span.status.code if span.status else None
    return Span(
        _read_id(span.trace_id, 32),
        _read_id(span.span_id, 16),
        _read_id(span.parent_span_id or "", 16),
        _read_int(span.start_time_unix_nano) or 0,
        _read_int(span.end_time_unix_nano) or 0,
        code in (2, "STATUS_CODE_ERROR"),
        _read_attributes(span.attributes),
        resource,
    )


def _read_attributes(attributes: list[_Attribute] | None) -> Slots:
    return collect_slots(
        (slot, _read_value(attribute.value))
        for attribute in attributes or []
        if len(attribute.key) <= MAX_NAME_LENGTH and (slot := find_slot(attribute.key)) is not None
    )


def _read_value(raw: msgspec.Raw) -> Any:
    """Return a value of one part, or a list of them; None for values of another kind, and within values."""
    try:
        value = _decode_value(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    if value is not None and value.array_value is not None:
        return [item for item in map(_read_scalar, (value.array_value.values or [])[:8]) if item is not None]
    return _read_scalar(value)


def _read_scalar(value: _Value | None) -> Any:
    if value is None:
        return None
    if value.int_value is not None:
        return _read_int(value.int_value)
    if value.double_value is not None:
        return _read_double(value.double_value)
    return value.string_value if value.string_value is not None else value.bool_value


def _read_double(value: str | int | float) -> float | None:
    """Read a finite number, which JSON may hold as a string."""
    try:
        number = float(value) if not isinstance(value, str) or len(value) <= MAX_DOUBLE_LENGTH else math.inf
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _read_int(value: str | int | float | None) -> int | None:
    """Read a 64-bit number, which JSON may hold as a string."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        is_number = value.isascii() and value.removeprefix("-").isdigit() and len(value) <= _MAX_INT64_DIGITS
        return int(value) if is_number else None
    return value


def _read_id(text: str, length: int) -> str:
    """Return an id in lower-case hexadecimal digits; empty where it is none."""
    lower = text.lower()
    is_id = len(lower) == length and all(digit in "0123456789abcdef" for digit in lower)
    return lower if is_id else ""
