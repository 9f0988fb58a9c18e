"""Compression of bodies: the codings that ClickHouse's clients send and accept."""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import lz4.block  # type: ignore[import-untyped]
import lz4.frame  # type: ignore[import-untyped]
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

MAX_BODY_BYTES = 256 << 20
"""The greatest body once it is decompressed: a small one can hold a very large one."""

_MIN_PIECES = 1 << 16  # so a piece decompresses to little: zstd makes 32 KiB of a byte
_GZIP = 31  # zlib's name for gzip's framing

_READERS: dict[str, Callable[[], Any]] = {
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "gzip": lambda: zlib.decompressobj(_GZIP),
}
BLOCKS = "blocks"
"""ClickHouse's own framing, which is no content coding of HTTP. JDBC asks for it by ``compress=1``."""

_BLOCK_BYTES = 1 << 20
_LZ4 = 0x82


class _Blocks:
    """Compress in ClickHouse's blocks: checksum, method, the lengths with this header and without compression, and the
    data."""

    def compress(self, chunk: bytes) -> bytes:
        return b"".join(
            self._block(chunk[start : start + _BLOCK_BYTES]) for start in range(0, len(chunk), _BLOCK_BYTES)
        )

    def flush(self) -> bytes:
        return b""

    def _block(self, plain: bytes) -> bytes:
        compressed: bytes = lz4.block.compress(plain, store_size=False)
        block = struct.pack("<BII", _LZ4, len(compressed) + 9, len(plain)) + compressed
        return struct.pack("<QQ", *divmod(CityHash128(block), 1 << 64)) + block


_WRITERS: dict[str, Callable[[], Any]] = {
    "zstd": lambda: zstandard.ZstdCompressor(level=1).compressobj(),
    "gzip": lambda: zlib.compressobj(1, wbits=_GZIP),
    BLOCKS: _Blocks,
}


def build_size_error(max_bytes: int) -> ValueError:
    return ValueError(f"the body has more than {max_bytes >> 20} MiB once unpacked: send less at a time")


def decompress(body: bytes, coding: str, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Return the body as it was before it was compressed.

    ValueError where it cannot be decompressed, is incomplete, or is larger than ``max_bytes`` afterwards.
    """
    if coding.lower() in ("", "identity"):
        return body
    if coding.lower() not in _READERS:
        raise ValueError(f"Content-Encoding {coding!r} is not supported: send {', '.join(_READERS)} or none")
    reader = _READERS[coding.lower()]()
    content = bytearray()
    try:
        piece_bytes = max(1, max_bytes // _MIN_PIECES)
        for start in range(0, len(body), piece_bytes):
            content += reader.decompress(body[start : start + piece_bytes])
            if len(content) > max_bytes:
                raise build_size_error(max_bytes)
    except (EOFError, RuntimeError, zlib.error, zstandard.ZstdError) as error:
        raise ValueError(f"the {coding} body cannot be unpacked: {error}") from error
    if not reader.eof or reader.unused_data:
        raise ValueError(f"the {coding} body cannot be unpacked: it is not one whole {coding} frame")
    return bytes(content)


def choose_coding(accepted: str) -> str | None:
    """Choose the coding of an answer from a client's Accept-Encoding; None where none is supported."""
    codings = {item.split(";")[0].strip().lower() for item in accepted.split(",")}
    return next((coding for coding in _WRITERS if coding in codings - {BLOCKS}), None)


def headers(coding: str | None) -> list[tuple[str, str]]:
    """Return the HTTP headers of an answer with this coding."""
    return [("Content-Encoding", coding)] if coding and coding != BLOCKS else []


def compress_chunks(chunks: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """Compress chunks as they come."""
    writer = _WRITERS[coding]()
    for chunk in chunks:
        if data := writer.compress(chunk):
            yield data
    yield writer.flush()
