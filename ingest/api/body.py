"""The body of a request, unpacked and cut into events, within bounds."""

import re
import zlib
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple, Protocol

import msgspec
import zstandard

from ingest.api.problem import Problem
from ingest.intake.limits import MAX_LINE_BYTES
from ingest.surrogates import repair_surrogates

MAX_BODY_BYTES = 4 << 20
"""Bytes of a body, packed and unpacked."""
MAX_EVENTS = 5_000
MAX_WINDOW_BYTES = 8 << 20
"""Memory that a zstd frame may ask for; zstd's own levels up to 19 stay within."""
PIECE_BYTES = 512

SINGLE = ("application/cloudevents+json", "application/json")
BATCH = ("application/cloudevents-batch+json",)
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
CODINGS = ("identity", "gzip", "zstd")
_ALIASES = {"x-gzip": "gzip"}
"""RFC 9110, 8.4.1.3."""
MAX_FRAMES = MAX_EVENTS
"""Members of gzip, or frames of zstd, in one body: senders pack an event a frame at most."""
_GZIP_BITS = 16 + zlib.MAX_WBITS
_MEDIA_TYPE = re.compile(r"[a-z0-9][\w.+-]*/[\w.+-]+", re.ASCII)
_CODING = re.compile(r"[\w., -]+", re.ASCII)

_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Kinds(NamedTuple):
    """The media types that an endpoint reads, and the sentence that says what to send."""

    media_types: tuple[str, ...]
    hint: str


EVENTS = Kinds(
    (*SINGLE, *BATCH, *LINES),
    f"send one event as {SINGLE[0]}, several as {BATCH[0]} or, one a line, as {LINES[0]}",
)


class Events(NamedTuple):
    """Each event's bytes as they came; ``single`` where the body is one event."""

    raw: list[bytes]
    single: bool


class _Unpacker(Protocol):
    """One frame's state: ``zlib.decompressobj`` and ``ZstdDecompressor.decompressobj`` alike."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def check_coding(content_type: str, content_encoding: str, kinds: Kinds = EVENTS) -> str:
    """Return the coding to unpack with. Problem where a body of this kind is not read, known before the body is.

    Codings that are applied one after the other ("gzip, zstd") are not read.
    """
    if media_type(content_type) not in kinds.media_types:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the Content-Type is {_quote(media_type(content_type), _MEDIA_TYPE)}: {kinds.hint}",
        )
    coding = content_encoding.strip().lower()
    coding = _ALIASES.get(coding, coding)
    if coding not in CODINGS:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the Content-Encoding is {_quote(coding, _CODING)}: send the body as it is, or packed once as "
            "gzip or zstd",
        )
    return coding


def unpack(body: bytes, coding: str) -> bytes:
    """Return the body as it was before it was packed, whole. Problem where it cannot be unpacked to its last byte, or
    grows too large."""
    if coding == "identity":
        return body
    zstd = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    make_unpacker = (lambda: zlib.decompressobj(_GZIP_BITS)) if coding == "gzip" else zstd.decompressobj
    try:
        return _unpack_frames(body, make_unpacker)
    except (EOFError, zlib.error, zstandard.ZstdError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not {coding}, or is incomplete: {error}") from None


def is_single(body: bytes, content_type: str) -> bool:
    """Tell whether a body is one event."""
    return media_type(content_type) in SINGLE and not body.lstrip().startswith(b"[")


def split_events(body: bytes, content_type: str) -> Events:
    """Split a body into events. Problem where it is no batch, or has too many events."""
    kind, body = media_type(content_type), repair_surrogates(body)
    if is_single(body, content_type):
        events = Events([body], True)
    elif kind in LINES:
        events = Events([line for line in body.split(b"\n") if line.strip()], False)
    else:
        try:
            events = Events([bytes(item) for item in _items(body)], False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not a JSON array of events: {error}") from None
    if len(events.raw) > MAX_EVENTS:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body has {len(events.raw):,} events, and may have {MAX_EVENTS:,}: send several",
        )
    return events


def size_problem() -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {MAX_BODY_BYTES:,} bytes, packed or unpacked: send several requests",
    )


def is_too_long(raw: bytes) -> bool:
    """Tell whether raw bytes are longer than any event; parsing them would take many times their memory."""
    return len(raw) > MAX_LINE_BYTES


def _unpack_frames(packed: bytes, make_unpacker: Callable[[], _Unpacker]) -> bytes:
    """Unpack all frames, which is what both codings allow a body to be. Pieces are so small that what one unpacks to is
    bounded. EOFError where the last frame is cut, or there is none."""
    body, frame_count = bytearray(), 0
    unpacker: _Unpacker | None = None
    for offset in range(0, len(packed), PIECE_BYTES):
        piece = packed[offset : offset + PIECE_BYTES]
        while piece:
            if unpacker is None:
                unpacker, frame_count = make_unpacker(), frame_count + 1
                if frame_count > MAX_FRAMES:
                    raise EOFError(f"it has more than {MAX_FRAMES:,} frames")
            body += unpacker.decompress(piece)
            if len(body) > MAX_BODY_BYTES:
                raise size_problem()
            if not unpacker.eof:
                break
            piece, unpacker = unpacker.unused_data, None
    if unpacker is not None or not frame_count:
        raise EOFError("its last frame is incomplete")
    return bytes(body)


def _quote(text: str, pattern: re.Pattern[str]) -> str:
    """Return the value of a header for an answer, where it has the form of such a value; nothing else is repeated."""
    return repr(text[:100]) if pattern.fullmatch(text) else "unknown"


def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
