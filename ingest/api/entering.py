"""The events of one request through the door and onto the log."""

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ingest.api import body
from ingest.api.appending import Appender
from ingest.batch import Batch, Envelope
from ingest.control import checked_decision
from ingest.door import FACTS, Door, Entered, door
from ingest.privacy import Removed
from ingest.reading import MAX_LINE
from ingest.refusal import Refused
from ledger.tokens import Role, Token

DOOR = "http"
CONTROL = "tallystick.control.v1"
_KINDS: dict[Role, tuple[str, ...]] = {"write": FACTS, "admin": ("control",)}
_door = lru_cache(maxsize=1_000)(door)
_parsing = threading.Lock()
"""One event at a time is read: threads gain nothing there, and what an event is while it is read takes many times
its bytes."""


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
            results[at] = {"partition": record.partition, "offset": record.offset, "index": index}
        pending.clear()

    for line in raw:
        try:
            entered = _entered(entrance, organization, line)
        except Refused as refused:
            if not batch.takes(b""):
                flush()
            batch.refuse(refused, line, len(line))
            refusals += 1
            results.append({"field": refused.field, "reason": refused.reason})
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


def _entered(entrance: Door, organization: str, raw: bytes) -> Entered:
    if body.too_long(raw):
        raise Refused("", f"has {len(raw):,} bytes, and an event may have {MAX_LINE:,} as it comes")
    with _parsing:
        try:
            entered = entrance.enter(raw)
        except Refused as refused:
            if refused.field == "type" and isinstance(refused.shape, dict) and refused.shape.get("type") == CONTROL:
                raise Refused("type", "is a decision: it takes a token of the role admin", refused.shape) from None
            raise
        if b'"type":"tallystick.control.v1"' in entered.line:
            checked_decision(entered.line, organization)
    return entered
