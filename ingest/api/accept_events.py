"""Pass the events of one request through the intake and append them to the log."""

import time
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ingest.api import body
from ingest.api.group_commit import Appender
from ingest.api.turns import Turns
from ingest.controls.append import check_decision
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import FACT_KINDS, REQUEST_KINDS, AcceptedEvent, Intake, encode, open_intake
from ingest.intake.limits import MAX_LINE_BYTES
from ingest.intake.privacy import Removed
from ingest.intake.rejection import Rejection, make_skeleton
from ledger.home.tokens import Role, Token
from ledger.log import Draft, Position

T = TypeVar("T")

CHANNEL = "http"
CONTROL_TYPE = "tallystick.control.v1"
_KINDS_BY_ROLE: dict[Role, tuple[str, ...]] = {"write": (*FACT_KINDS, *REQUEST_KINDS), "admin": ("control",)}
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


class Attempt(NamedTuple):
    """An event's bytes, or those of what it was built of, and whether it entered."""

    raw: bytes
    outcome: AcceptedEvent | Rejection


def list_kinds(token: Token) -> tuple[str, ...]:
    """Return the kinds of event that a token may send."""
    return tuple(kind for role in token.roles for kind in _KINDS_BY_ROLE.get(role, ()))


def accept_events(appender: Appender, home: Path, token: Token, organization: str, raw: Sequence[bytes]) -> Answer:
    """Accept or reject each event, and append the accepted ones durably. TallyError where the log does not take them:
    the sender then repeats all, and those that stand already are duplicates."""
    intake = _open_intake(home, organization, list_kinds(token))
    outcomes = (Attempt(raw_event, _accept_event(appender, intake, organization, raw_event)) for raw_event in raw)
    return _append(appender, intake, Envelope(organization, CHANNEL, token.id), work_in_turns(outcomes))


def accept_built(
    appender: Appender, home: Path, token: Token, organization: str, events: Iterable[dict[str, Any] | Rejection],
    kinds: tuple[str, ...] = FACT_KINDS,
) -> Answer:  # fmt: skip
    """Accept the events that an adapter built, as :func:`accept_events` does; its rejections stay rejections."""
    attempts = try_built(home, organization, events, kinds)
    return append_attempts(appender, home, token.id, organization, attempts, kinds)


def try_event(appender: Appender, home: Path, token: Token, organization: str, raw: bytes) -> Attempt:
    """Accept or reject a single event, in turns with other requests."""
    intake = _open_intake(home, organization, list_kinds(token))
    with _parse_turns.turn():
        return Attempt(raw, _accept_event(appender, intake, organization, raw))


def make_draft(organization: str, principal: str, line: bytes) -> Draft:
    """Make the record of an accepted event."""
    return Envelope(organization, CHANNEL, principal).make_draft(line)


def describe_position(position: Position) -> dict[str, int]:
    """Describe the position of an accepted event."""
    return {"partition": position.partition, "offset": position.offset, "event_index": position.event_index}


def try_built(
    home: Path, organization: str, events: Iterable[dict[str, Any] | Rejection], kinds: tuple[str, ...]
) -> Iterator[Attempt]:
    """Accept or reject events that were built, one after the other, in turns with other requests."""
    intake = _open_intake(home, organization, kinds)
    return work_in_turns(_accept_built_event(intake, event) for event in events)


def append_attempts(
    appender: Appender, home: Path, principal: str, organization: str, attempts: Iterable[Attempt],
    kinds: tuple[str, ...],
) -> Answer:  # fmt: skip
    """Append what was accepted, durably, in the name of a principal."""
    intake = _open_intake(home, organization, kinds)
    return _append(appender, intake, Envelope(organization, CHANNEL, principal), attempts)


def _append(appender: Appender, intake: Intake, envelope: Envelope, attempts: Iterable[Attempt]) -> Answer:
    batch = Batch(appender, envelope, intake.key)
    answer = Answer([], 0, Removed())
    results, refusals = answer.results, 0
    pending: list[int] = []

    def flush() -> None:
        record = batch.append()
        for index, result_index in enumerate(pending):
            assert record is not None
            results[result_index] = describe_position(Position(record.partition, record.offset, index))
        pending.clear()

    for raw_event, outcome in attempts:
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


def work_in_turns(steps: Iterable[T]) -> Iterator[T]:
    """Take the steps of a request's work, in turns with other requests."""
    iterator = iter(steps)
    is_open = True
    while is_open:
        results: list[T] = []
        with _parse_turns.turn():
            end = time.perf_counter() + TURN_S
            while is_open and (not results or time.perf_counter() < end):
                try:
                    results.append(next(iterator))
                except StopIteration:
                    is_open = False
        yield from results


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


def _accept_built_event(intake: Intake, event: dict[str, Any] | Rejection) -> Attempt:
    if isinstance(event, Rejection):
        return Attempt(encode(make_skeleton(event.shape)), event)
    try:
        return Attempt(b"", intake.accept_event(event))
    except Rejection as rejection:
        return Attempt(encode(event), rejection)
