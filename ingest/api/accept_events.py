"""Pass the events of one request through the intake and append them to the log."""

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
from ingest.intake.intake import FACT_KINDS, AcceptedEvent, Intake, open_intake
from ingest.intake.limits import MAX_LINE_BYTES
from ingest.intake.privacy import Removed
from ingest.intake.rejection import Rejection
from ledger.home.tokens import Role, Token

CHANNEL = "http"
CONTROL_TYPE = "tallystick.control.v1"
_KINDS_BY_ROLE: dict[Role, tuple[str, ...]] = {"write": FACT_KINDS, "admin": ("control",)}
_open_intake = lru_cache(maxsize=1_000)(open_intake)
_parse_turns = Turns()
"""One event is parsed at a time: threads gain nothing there, and an event in parsing takes many times its bytes."""
TURN_S = 0.01
"""The time for which a request parses events before the next request has its turn."""


class Answer(NamedTuple):
    """The result of each event in order: its position on the log, or its rejection."""

    results: list[dict[str, Any]]
    refused: int
    removed: Removed

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "accepted": len(self.results) - self.refused, "refused": self.refused, "results": self.results,
        }  # fmt: skip
        if self.removed:
            document["removed"] = [
                {"path": path, "kind": kind, "times": times} for (path, kind), times in self.removed.most_common(50)
            ]
        return document


def list_kinds(token: Token) -> tuple[str, ...]:
    """Return the kinds of event that a token may send."""
    return tuple(kind for role in token.roles for kind in _KINDS_BY_ROLE.get(role, ()))


def accept_events(appender: Appender, home: Path, token: Token, organization: str, raw: Sequence[bytes]) -> Answer:
    """Accept or reject each event, and append the accepted ones durably. TallyError where the log does not take them:
    the sender then repeats all, and those that stand already are duplicates."""
    intake = _open_intake(home, organization, list_kinds(token))
    batch = Batch(appender, Envelope(organization, CHANNEL, token.id), intake.key)
    answer = Answer([], 0, Removed())
    results, refusals = answer.results, 0
    pending: list[int] = []

    def flush() -> None:
        record = batch.append()
        for index, result_index in enumerate(pending):
            assert record is not None
            results[result_index] = {"partition": record.partition, "offset": record.offset, "event_index": index}
        pending.clear()

    for raw_event, outcome in _accept_in_turns(appender, intake, organization, raw):
        if isinstance(outcome, Rejection):
            if not batch.has_room_for(b""):
                flush()
            batch.refuse(outcome, raw_event, len(raw_event))
            refusals += 1
            results.append({"field": outcome.field, "reason": outcome.reason})
            continue
        if not batch.has_room_for(outcome.line):
            flush()
        pending.append(len(results))
        results.append({})
        batch.add(outcome.line)
        if outcome.removed:
            answer.removed.update(outcome.removed)
    flush()
    return answer._replace(refused=refusals)


def _accept_in_turns(
    appender: Appender, intake: Intake, organization: str, raw: Sequence[bytes]
) -> Iterator[tuple[bytes, AcceptedEvent | Rejection]]:
    """Read all events, in turns with other requests."""
    position = 0
    while position < len(raw):
        outcomes: list[tuple[bytes, AcceptedEvent | Rejection]] = []
        with _parse_turns.turn():
            end = time.perf_counter() + TURN_S
            while position < len(raw) and (not outcomes or time.perf_counter() < end):
                outcomes.append((raw[position], _accept_event(appender, intake, organization, raw[position])))
                position += 1
        yield from outcomes


def _accept_event(appender: Appender, intake: Intake, organization: str, raw: bytes) -> AcceptedEvent | Rejection:
    if body.is_too_long(raw):
        return Rejection("", f"has {len(raw):,} bytes, and an event may have {MAX_LINE_BYTES:,} as it comes")
    try:
        accepted = intake.accept(raw)
        if b'"type":"tallystick.control.v1"' in accepted.line:
            check_decision(accepted.line, organization, appender.has_document)
    except Rejection as rejection:
        if (
            rejection.field == "type"
            and isinstance(rejection.shape, dict)
            and rejection.shape.get("type") == CONTROL_TYPE
        ):
            return Rejection("type", "is a decision, which needs a token with the role admin", rejection.shape)
        return rejection
    return accepted
