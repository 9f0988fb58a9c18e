"""How bodies may be compressed: what ClickHouse's clients send by themselves, and what they ask for."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from typing import Any

import lz4.frame  # type: ignore[import-untyped]
import zstandard

BODY = 256 << 20
"""What a body may have once it is unpacked: a small one can hold a very large one."""

_GZIP = 31  # zlib's name for gzip's framing

_READERS: dict[str, Callable[[bytes], Any]] = {
    "lz4": lambda body: lz4.frame.LZ4FrameFile(BytesIO(body)),
    "zstd": lambda body: zstandard.ZstdDecompressor().stream_reader(BytesIO(body), read_across_frames=True),
    "gzip": lambda body: _Inflated(body),
}
_WRITERS: dict[str, Callable[[], Any]] = {
    "zstd": lambda: zstandard.ZstdCompressor(level=1).compressobj(),
    "gzip": lambda: zlib.compressobj(1, wbits=_GZIP),
}


class _Inflated:
    """A gzip body that is read to a length."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, size: int) -> bytes:
        inflater = zlib.decompressobj(_GZIP)
        plain = inflater.decompress(self._body, size)
        if not inflater.eof and len(plain) < size:
            raise EOFError("it was cut short")
        return plain


def unpacked(body: bytes, coding: str) -> bytes:
    """The body as it was before it was compressed. ValueError where it cannot be unpacked."""
    if coding.lower() in ("", "identity"):
        return body
    if coding.lower() not in _READERS:
        raise ValueError(f"Content-Encoding {coding!r} is not known here: send {', '.join(_READERS)} or none")
    try:
        plain: bytes = _READERS[coding.lower()](body).read(BODY + 1)
    except (OSError, EOFError, RuntimeError, zlib.error, zstandard.ZstdError) as error:
        raise ValueError(f"the {coding} body cannot be unpacked: {error}") from error
    if len(plain) > BODY:
        raise ValueError(f"the {coding} body has more than {BODY >> 20} MiB once unpacked: send less at a time")
    return plain


def chosen(accepted: str) -> str | None:
    """The coding for an answer, of those that the client accepts; None where none is known here."""
    asked = {one.split(";")[0].strip().lower() for one in accepted.split(",")}
    return next((coding for coding in _WRITERS if coding in asked), None)


def packed(chunks: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """The chunks, compressed as they come."""
    writer = _WRITERS[coding]()
    for chunk in chunks:
        if some := writer.compress(chunk):
            yield some
    yield writer.flush()
