"""Read the lines of a record: each is an event with its identity, or no event at all (docs/rules.md, R2 and R3)."""

import hashlib
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from ledger.log import Record
from streams.folds.call import Call, build_call, convert_call, read_line
from tallystick.vocabulary.base import EARLIEST, LATEST
from tallystick.vocabulary.event import DATA_MODELS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KINDS = {f"tallystick.{kind}.v1": kind for kind in DATA_MODELS}
FACTS = frozenset(("inference", "observation", "correction", "unknown"))
MAX_DEPTH = 64
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct, gc=False):
    """One line of a record.

    A line that is no event has only ``event_index``, ``kind`` (unknown) and ``detail``; an inference that fits the
    vocabulary has its ``call``, any other event its ``data``.
    """

    event_index: int
    organization: str
    kind: str
    source: str = ""
    id: str = ""
    time_us: int = 0
    identity: bytes = b""
    content: bytes = b""
    call: Call | None = None
    data: dict[str, Any] = {}  # never changed
    detail: str = ""


class ParsedRecord(NamedTuple):
    """A record and its events, in order."""

    record: Record
    events: list[Event]


def parse_record(record: Record) -> ParsedRecord:
    """Parse every line of a record."""
    organization = record.organization
    lines = record.value.split(b"\n") if record.value else []
    return ParsedRecord(record, [parse_line(index, line, organization) for index, line in enumerate(lines)])


def parse_line(index: int, line: bytes, organization: str) -> Event:
    """Parse one line of a record of the organization."""
    try:
        typed = read_line(line)
        time_us = _microseconds(datetime.fromisoformat(typed.time))
    except (msgspec.DecodeError, TypeError, ValueError):  # whatever it is, it is not a call like most
        return _parse_untyped(index, line, organization)
    source, id = typed.source, typed.id
    identity, content = _digests(organization, source, id, line)
    return Event(index, organization, "inference", source, id, time_us, identity, content, build_call(typed.data))


def _parse_untyped(index: int, line: bytes, organization: str) -> Event:
    try:
        content = _decode(line)
        source, id, data = content["source"], content["id"], content["data"]
        kind = KINDS[content["type"]]
        time = datetime.fromisoformat(content["time"])
        if type(source) is not str or type(id) is not str or type(data) is not dict:
            raise TypeError("source and id are strings, and data is an object")
        time_us = _microseconds(time)
        if _is_deep(line, content):
            raise ValueError("a depth that no event has")
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        return Event(index, organization, "unknown", detail=f"{type(error).__name__}: not an event of the vocabulary")
    digests = _digests(organization, source, id, line)
    call = convert_call(data) if kind == "inference" else None
    return Event(index, organization, kind, source, id, time_us, *digests, call, {} if call else data)


def _microseconds(time: datetime) -> int:
    if not EARLIEST <= time < LATEST:
        raise ValueError("a time that no event has")
    elapsed = time - EPOCH
    return (elapsed.days * 86400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds


def hash_identity(organization: str, source: str, id: str) -> bytes:
    """Hash the identity of an event."""
    return hashlib.blake2b(_encode((organization, source, id)), digest_size=16).digest()


def _digests(organization: str, source: str, id: str, line: bytes) -> tuple[bytes, bytes]:
    """Hash the identity of an event, and its content."""
    return hash_identity(organization, source, id), hashlib.blake2b(line, digest_size=8).digest()


def _is_deep(line: bytes, content: Any) -> bool:
    """Tell whether the content is nested deeper than any event: where an interpreter gives up must not decide."""
    if line.count(b"{") + line.count(b"[") <= MAX_DEPTH:
        return False
    level = [content]
    for _ in range(MAX_DEPTH):
        level = [
            child for node in level for child in (node.values() if isinstance(node, dict) else node) if _is_node(child)
        ]
    return bool(level)


def _is_node(value: Any) -> bool:
    return isinstance(value, dict | list)
