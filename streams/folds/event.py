"""A record's lines, read: each an event with its identity, or no event at all (docs/rules.md, R2 and R3)."""

import hashlib
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from ledger.log import Record
from streams.folds.call import Call, build_call, convert_call, read_line
from tallystick.vocabulary.base import EARLIEST, LATEST

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KINDS = {f"tallystick.{kind}.v1": kind for kind in ("inference", "observation", "correction", "control", "tick")}
FACTS = frozenset(("inference", "observation", "correction", "unknown"))
DEEPEST = 64
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct, gc=False):
    """One line of a record. Of a line that is no event only ``at``, ``kind`` (unknown) and ``detail`` hold; of an
    inference that fits the vocabulary its ``call``, of any other event its ``data``."""

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


class Parsed(NamedTuple):
    record: Record
    events: list[Event]


def parse_record(record: Record) -> Parsed:
    organization = record.organization
    lines = record.value.split(b"\n") if record.value else []
    return Parsed(record, [_event(at, line, organization) for at, line in enumerate(lines)])


def _event(at: int, line: bytes, organization: str) -> Event:
    try:
        read = read_line(line)
        time_us = _micros(datetime.fromisoformat(read.time))
    except (msgspec.DecodeError, TypeError, ValueError):  # whatever it is, it is not a call like most
        return _read_untyped(at, line, organization)
    source, id = read.source, read.id
    identity, content = _digests(organization, source, id, line)
    return Event(at, organization, "inference", source, id, time_us, identity, content, build_call(read.data))


def _read_untyped(at: int, line: bytes, organization: str) -> Event:
    try:
        content = _decode(line)
        source, id, data = content["source"], content["id"], content["data"]
        kind = KINDS[content["type"]]
        time = datetime.fromisoformat(content["time"])
        if type(source) is not str or type(id) is not str or type(data) is not dict:
            raise TypeError("source and id are strings, and data is an object")
        time_us = _micros(time)
        if _is_deep(line, content):
            raise ValueError("a depth that no event has")
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        return Event(at, organization, "unknown", detail=f"{type(error).__name__}: not an event of the vocabulary")
    digests = _digests(organization, source, id, line)
    call = convert_call(data) if kind == "inference" else None
    return Event(at, organization, kind, source, id, time_us, *digests, call, {} if call else data)


def _micros(time: datetime) -> int:
    if not EARLIEST <= time < LATEST:
        raise ValueError("a time that no event has")
    moment = time - EPOCH
    return (moment.days * 86400 + moment.seconds) * 1_000_000 + moment.microseconds


def _digests(organization: str, source: str, id: str, line: bytes) -> tuple[bytes, bytes]:
    """Of who it is, and of what it says."""
    identity = hashlib.blake2b(_encode((organization, source, id)), digest_size=16).digest()
    return identity, hashlib.blake2b(line, digest_size=8).digest()


def _is_deep(line: bytes, content: Any) -> bool:
    """Whether it is nested deeper than any event: where an interpreter gives up must not decide."""
    if line.count(b"{") + line.count(b"[") <= DEEPEST:
        return False
    level = [content]
    for _ in range(DEEPEST):
        level = [part for one in level for part in (one.values() if isinstance(one, dict) else one) if _holds(part)]
    return bool(level)


def _holds(part: Any) -> bool:
    return isinstance(part, dict | list)
