"""Mooncake's traces (kvcache-ai/Mooncake, Apache 2.0): a JSON line a request, with ids of its blocks.

A prompt is cut into blocks of 512 tokens; the last one holds what is left. A block that an earlier line of
the file had was in the cache: its tokens are read from there, and the others are ``input``. Times are
milliseconds from the beginning, for which the publication names no date: ``START`` is taken. Other fields of
a line are not read.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from pyroaring import BitMap64

from ingest.adapters.adapter import Format, Parse, TraceLine
from ingest.adapters.head import Head
from ingest.intake.rejection import Rejection
from ledger.inference_fields import MAX_COUNT

BLOCK_TOKENS = 512
START = datetime(2024, 6, 1, tzinfo=UTC)
"""The month in which the trace was published, at its first midnight."""

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class Request(msgspec.Struct):
    timestamp: Annotated[float, msgspec.Meta(ge=0, le=MAX_COUNT)]
    input_length: Count
    output_length: Count
    hash_ids: list[Annotated[int, msgspec.Meta(ge=0)]]


_TYPES = {field.name: field.type for field in msgspec.structs.fields(Request)}
_EXPECTED_VALUES = {
    "timestamp": f"a number from 0 to {MAX_COUNT:,}",
    "hash_ids": "a list of whole numbers from 0 to 2^64 - 1",
}
_decode = msgspec.json.Decoder(Request).decode


def _make_parser(start: datetime | None) -> Parse:
    start_time = start or START
    cached_blocks = BitMap64()

    def parse(raw: bytes) -> TraceLine:
        try:
            line = _decode(raw)
            length = line.input_length
            cached_tokens = sum(
                min(BLOCK_TOKENS, length - BLOCK_TOKENS * index)
                for index, block in enumerate(line.hash_ids)
                if block in cached_blocks and length > BLOCK_TOKENS * index
            )
        except (ValueError, RecursionError, OverflowError):
            raise _explain_line(raw) from None
        cached_blocks.update(line.hash_ids)
        tokens = {"input": length - cached_tokens, "cache_read": cached_tokens, "output": line.output_length}
        return TraceLine(start_time + timedelta(milliseconds=line.timestamp), tokens)

    return parse


def _explain_line(raw: bytes) -> Rejection:
    """Return the rejection of a line that is no request: its first wrong field."""
    try:
        document = msgspec.json.decode(raw)
    except UnicodeDecodeError:
        return Rejection("", "is not UTF-8")
    except (ValueError, RecursionError):
        return Rejection("", "is not JSON: write one whole object a line")
    if not isinstance(document, dict):
        return Rejection("", "is not a JSON object", document)
    field = next((name for name in _TYPES if not _fits(document.get(name), _TYPES[name])), "hash_ids")
    expected = _EXPECTED_VALUES.get(field, f"a whole number from 0 to {MAX_COUNT:,}")
    return Rejection(field, f"must be {expected}", [document.get(name) for name in _TYPES])


def _fits(value: Any, type: Any) -> bool:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=type)
    except msgspec.ValidationError:
        return False
    return True


def _recognises(head: Head) -> bool:
    try:
        document = msgspec.json.decode(head.first)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and _TYPES.keys() <= document.keys()


FORMAT = Format(
    name="mooncake",
    known_by=f"an object with {', '.join(_TYPES)} (JSONL)",
    recognises=_recognises,
    classes=("input", "cache_read", "output"),
    trace=_make_parser,
    start=START,
)
