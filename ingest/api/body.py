"""The body of a request, unpacked and cut into events, within bounds."""

import re
import zlib
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple, Protocol

import msgspec
import zstandard

from ingest.api.problem import Problem
from ingest.intake.limits import MAX_LINE

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
_ALIASES = {"x-gzip": "gzip"}
"""RFC 9110, 8.4.1.3."""
MAX_FRAMES = MAX_EVENTS
"""Members of gzip, or frames of zstd, in one body: senders pack an event a frame at most."""
_GZIP_BITS = 16 + zlib.MAX_WBITS
_MEDIA_TYPE = re.compile(r"[a-z0-9][\w.+-]*/[\w.+-]+", re.ASCII)
_CODING = re.compile(r"[\w., -]+", re.ASCII)

_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


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


def checked(content_type: str, content_encoding: str) -> str:
    """Return the coding to unpack with. Problem where a body of this kind is not read, known before the body is.

    Codings that are applied one after the other ("gzip, zstd") are not read.
    """
    if _kind(content_type) not in (*SINGLE, *BATCH, *LINES):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the Content-Type is {_quoted(_kind(content_type), _MEDIA_TYPE)}: send one event as {SINGLE[0]}, several "
            f"as {BATCH[0]} or, one a line, as {LINES[0]}",
        )
    coding = content_encoding.strip().lower()
    coding = _ALIASES.get(coding, coding)
    if coding not in CODINGS:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"the Content-Encoding is {_quoted(coding, _CODING)}: send the body as it is, or packed once as "
            "gzip or zstd",
        )
    return coding


def unpacked(body: bytes, coding: str) -> bytes:
    """Return the body as it was before it was packed, whole. Problem where it cannot be unpacked to its last byte, or
    grows too large."""
    if coding == "identity":
        return body
    zstd = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    begin = (lambda: zlib.decompressobj(_GZIP_BITS)) if coding == "gzip" else zstd.decompressobj
    try:
        return _unpack_frames(body, begin)
    except (EOFError, zlib.error, zstandard.ZstdError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not {coding}, or is cut: {error}") from None


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


def _unpack_frames(packed: bytes, begin: Callable[[], _Unpacker]) -> bytes:
    """Unpack all frames, which is what both codings allow a body to be. Pieces are so small that what one unpacks to is
    bounded. EOFError where the last frame is cut, or there is none."""
    whole, frames = bytearray(), 0
    unpacker: _Unpacker | None = None
    for offset in range(0, len(packed), PIECE):
        rest = packed[offset : offset + PIECE]
        while rest:
            if unpacker is None:
                unpacker, frames = begin(), frames + 1
                if frames > MAX_FRAMES:
                    raise EOFError(f"it has more than {MAX_FRAMES:,} frames")
            whole += unpacker.decompress(rest)
            if len(whole) > MAX_BODY:
                raise too_large()
            if not unpacker.eof:
                break
            rest, unpacker = unpacker.unused_data, None
    if unpacker is not None or not frames:
        raise EOFError("it ends before its end")
    return bytes(whole)


def _quoted(text: str, form: re.Pattern[str]) -> str:
    """Return what a header says, where it has the form of such a value; nothing else of a request is repeated to it."""
    return repr(text[:100]) if form.fullmatch(text) else "none that is known"


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
