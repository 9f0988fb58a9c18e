"""The body of a request, unpacked and cut into events, within bounds."""

import gzip
import io
import zlib
from http import HTTPStatus
from typing import NamedTuple

import msgspec
import zstandard

from ingest.api.problem import Problem
from ingest.reading import MAX_LINE

MAX_BODY = 4 << 20
"""Bytes of a body, packed and unpacked."""
MAX_EVENTS = 5_000
WINDOW = 8 << 20
"""What zstd may ask for in memory; its own levels up to 19 stay within."""
PIECE = 512

SINGLE = ("application/cloudevents+json", "application/json")
BATCH = ("application/cloudevents-batch+json",)
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
CODINGS = ("identity", "gzip", "zstd")

_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Events(NamedTuple):
    """Each event's bytes as they came; ``single`` where the body is one event."""

    raw: list[bytes]
    single: bool


def checked(content_type: str, coding: str) -> None:
    """Problem where a body of this kind is not read; known before the body is."""
    if _kind(content_type) not in (*SINGLE, *BATCH, *LINES):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the Content-Type is {_kind(content_type)[:100]!r}: send one event as {SINGLE[0]}, several as {BATCH[0]} "
            f"or, one a line, as {LINES[0]}",
        )
    if coding not in CODINGS:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the Content-Encoding is {coding[:100]!r}: send the body as it is, or packed as gzip or zstd",
        )


def unpacked(body: bytes, coding: str) -> bytes:
    """The body as it was before it was packed. Problem where it cannot be unpacked, or grows too large."""
    if coding == "identity":
        return body
    try:
        whole = _of_gzip(body) if coding == "gzip" else _of_zstd(body)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not {coding}, or is cut: {error}") from None
    if len(whole) > MAX_BODY:
        raise too_large()
    return whole


def events(body: bytes, content_type: str) -> Events:
    """Cut into events. Problem where it is no batch, or a batch too large."""
    kind = _kind(content_type)
    if kind in SINGLE and not body.lstrip().startswith(b"["):
        found = Events([body], True)
    elif kind in LINES:
        found = Events([line for line in body.split(b"\n") if line.strip()], False)
    else:
        try:
            found = Events([bytes(item) for item in _items(body)], False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not a JSON array of events: {error}") from None
    if len(found.raw) > MAX_EVENTS:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body has {len(found.raw):,} events, and may have {MAX_EVENTS:,}: send several",
        )
    return found


def too_large() -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {MAX_BODY:,} bytes, packed or unpacked: send several",
    )


def too_long(raw: bytes) -> bool:
    """Whether it is longer than any event; what it says would take many times as much memory to read."""
    return len(raw) > MAX_LINE


def _of_gzip(body: bytes) -> bytes:
    """At most a byte more than a body may have."""
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as reader:
        return reader.read(MAX_BODY + 1)


def _of_zstd(body: bytes) -> bytes:
    """In pieces so small that what one unpacks to is bounded, until it is more than a body may have."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj()
    whole = bytearray()
    for at in range(0, len(body), PIECE):
        whole += unpacker.decompress(body[at : at + PIECE])
        if len(whole) > MAX_BODY:
            return bytes(whole)
        if unpacker.eof:
            break
    if not unpacker.eof:  # the reader of the library's own does not tell
        raise EOFError("it ends before its end")
    return bytes(whole)


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
