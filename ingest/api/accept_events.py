"""The events of one request through the door and onto the log."""

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ingest.api import body
from ingest.api.group_commit import Appender
from ingest.api.turns import Turns
from ingest.controls.append import check_decision
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import FACTS, Door, Entered, door
from ingest.intake.limits import MAX_LINE
from ingest.intake.privacy import Removed
from ingest.intake.rejection import Refused
from ledger.home.tokens import Role, Token

DOOR = "http"
CONTROL = "tallystick.control.v1"
_KINDS: dict[Role, tuple[str, ...]] = {"write": FACTS, "admin": ("control",)}
_door = lru_cache(maxsize=1_000)(door)
_parsing = Turns()
"""One event at a time is read: threads gain nothing there, and what an event is while it is read takes many times
its bytes."""
TURN_S = 0.01
"""For how long a request reads its events until others have their turn."""


class Answer(NamedTuple):
    """What became of each event, in order: where it stands, or what is wrong with it."""

    results: list[dict[str, Any]]
    refused: int
    removed: Removed

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "accepted": len(self.results) - self.refused, "refused": self.refused, "results": self.results,
        }  # fmt: skip
        if self.removed:
            told["removed"] = [
                {"path": path, "kind": kind, "times": times} for (path, kind), times in self.removed.most_common(50)
            ]
        return told


def kinds(token: Token) -> tuple[str, ...]:
    """Which kinds of event a token may send."""
    return tuple(kind for role in token.roles for kind in _KINDS.get(role, ()))


def enter(appender: Appender, home: Path, token: Token, organization: str, raw: Sequence[bytes]) -> Answer:
    """Let in or refuse each event, and append all that came in, durable. TallyError where the log does not take them:
    then the sender repeats all, as those that stand already are recognised."""
    entrance = _door(home, organization, kinds(token))
    batch = Batch(appender, Envelope(organization, DOOR, token.id), entrance.key)
    answer = Answer([], 0, Removed())
    results, refusals = answer.results, 0
    pending: list[int] = []

    def flush() -> None:
        record = batch.append()
        for index, at in enumerate(pending):
            assert record is not None
            results[at] = {"partition": record.partition, "offset": record.offset, "event_index": index}
        pending.clear()

    for line, entered in _read(appender, entrance, organization, raw):
        if isinstance(entered, Refused):
            if not batch.takes(b""):
                flush()
            batch.refuse(entered, line, len(line))
            refusals += 1
            results.append({"field": entered.field, "reason": entered.reason})
            continue
        if not batch.takes(entered.line):
            flush()
        pending.append(len(results))
        results.append({})
        batch.add(entered.line)
        if entered.removed:
            answer.removed.update(entered.removed)
    flush()
    return answer._replace(refused=refusals)


def _read(
    appender: Appender, entrance: Door, organization: str, raw: Sequence[bytes]
) -> Iterator[tuple[bytes, Entered | Refused]]:
    """Read all events, in turns with other requests."""
    position = 0
    while position < len(raw):
        outcomes: list[tuple[bytes, Entered | Refused]] = []
        with _parsing.turn():
            end = time.perf_counter() + TURN_S
            while position < len(raw) and (not outcomes or time.perf_counter() < end):
                outcomes.append((raw[position], _entered(appender, entrance, organization, raw[position])))
                position += 1
        yield from outcomes


def _entered(appender: Appender, entrance: Door, organization: str, raw: bytes) -> Entered | Refused:
    if body.too_long(raw):
        return Refused("", f"has {len(raw):,} bytes, and an event may have {MAX_LINE:,} as it comes")
    try:
        entered = entrance.enter(raw)
        if b'"type":"tallystick.control.v1"' in entered.line:
            check_decision(entered.line, organization, appender.has_document)
    except Refused as refused:
        if refused.field == "type" and isinstance(refused.shape, dict) and refused.shape.get("type") == CONTROL:
            return Refused("type", "is a decision: it takes a token of the role admin", refused.shape)
        return refused
    return entered
