"""Documents of prices as they stand on the log: named by the hash of their content, and compressed."""

import hashlib
import zlib

from ledger.errors import LogDamaged, TallyError

MAX_DOCUMENT_BYTES = 900_000
"""Bytes of a document on the log, compressed: Kafka rejects records over a mebibyte."""


def pack(content: bytes, title: str, remedy: str) -> tuple[str, bytes]:
    """Return the hash of a document's canonical JSON (SHA-256), and its compressed bytes. TallyError names the title
    and the remedy where they are more than a record may have."""
    packed = zlib.compress(content, 9)
    if len(packed) > MAX_DOCUMENT_BYTES:
        raise TallyError(f"{title} has {len(packed):,} bytes compressed and may have {MAX_DOCUMENT_BYTES:,}: {remedy}")
    return hashlib.sha256(content).hexdigest(), packed


def unpack(digest: str, packed: bytes) -> bytes:
    """Return the content of a document's bytes. ValueError where they are not the document of this hash."""
    try:
        content = zlib.decompress(packed)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError("its content has another hash")
    return content


def build_damage_error(digest: str, error: Exception) -> LogDamaged:
    """Build the error of a document that cannot be read."""
    reason = " ".join(str(error).split())
    return LogDamaged(f"the document {digest} cannot be read ({reason}): restore the log from a copy")
