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

from ingest.adapters.adapter import MOST, Format, Parse, Said
from ingest.intake.rejection import Refused

BLOCK = 512
START = datetime(2024, 6, 1, tzinfo=UTC)
"""The month in which the trace was published, at its first midnight."""

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]


class Request(msgspec.Struct):
    timestamp: Annotated[float, msgspec.Meta(ge=0, le=MOST)]
    input_length: Count
    output_length: Count
    hash_ids: list[Annotated[int, msgspec.Meta(ge=0)]]


_TYPES = {field.name: field.type for field in msgspec.structs.fields(Request)}
_WANTED = {
    "timestamp": f"a number from 0 to {MOST:,}",
    "hash_ids": "a list of whole numbers from 0 to 2^64 - 1",
}
_decode = msgspec.json.Decoder(Request).decode


def _trace(start: datetime | None) -> Parse:
    begun = start or START
    seen = BitMap64()

    def parse(raw: bytes) -> Said:
        try:
            line = _decode(raw)
            length = line.input_length
            cached = sum(
                min(BLOCK, length - BLOCK * place)
                for place, block in enumerate(line.hash_ids)
                if block in seen and length > BLOCK * place
            )
        except (ValueError, RecursionError, OverflowError):
            raise _refused(raw) from None
        seen.update(line.hash_ids)
        tokens = {"input": length - cached, "cache_read": cached, "output": line.output_length}
        return Said(begun + timedelta(milliseconds=line.timestamp), tokens)

    return parse


def _refused(raw: bytes) -> Refused:
    """What is wrong with a line that is no request."""
    try:
        said = msgspec.json.decode(raw)
    except UnicodeDecodeError:
        return Refused("", "is not UTF-8")
    except (ValueError, RecursionError):
        return Refused("", "is not JSON: one whole object a line is")
    if not isinstance(said, dict):
        return Refused("", "is not a JSON object", said)
    field = next((name for name in _TYPES if not _fits(said.get(name), _TYPES[name])), "hash_ids")
    wanted = _WANTED.get(field, f"a whole number from 0 to {MOST:,}")
    return Refused(field, f"must be {wanted}", [said.get(name) for name in _TYPES])


def _fits(value: Any, type: Any) -> bool:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=type)
    except msgspec.ValidationError:
        return False
    return True


def _recognises(first: bytes) -> bool:
    try:
        said = msgspec.json.decode(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and _TYPES.keys() <= said.keys()


FORMAT = Format(
    name="mooncake",
    known_by=f"an object with {', '.join(_TYPES)} (JSONL)",
    recognises=_recognises,
    classes=("input", "cache_read", "output"),
    trace=_trace,
    start=START,
)
