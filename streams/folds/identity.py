"""Identity: what became of an event before anything is counted (docs/rules.md, R3 and R4)."""

from collections.abc import MutableMapping
from typing import NamedTuple

from ledger.token_classes import INPUT_CLASSES, OUTPUT_CLASSES
from streams.folds.event import Event
from streams.folds.schema_check import find_schema_mismatch

AHEAD_US = 300 * 1_000_000
"""How far ahead of the log's time an event's own time may lie."""


class FirstSeen(NamedTuple):
    """The first line that had an identity: a hash of its content, and where it stands."""

    content: bytes
    offset: int
    event_index: int


Identities = MutableMapping[bytes, FirstSeen]


class Outcome(NamedTuple):
    outcome: str
    reason: str | None = None
    detail: str | None = None
    of: FirstSeen | None = None


COUNTED = Outcome("counted")


def take_identity(event: Event, offset: int, known: Identities) -> Outcome:
    """Take the event's identity, or say who has it. ``known`` gains the identity when it is new."""
    if event.kind == "unknown":
        return Outcome("quarantined", "malformed", event.detail)
    first = known.get(event.identity)
    if first is not None:
        if first.content == event.content:
            return Outcome("duplicate", of=first)
        return Outcome("conflict", "content_mismatch", of=first)
    known[event.identity] = FirstSeen(event.content, offset, event.event_index)
    return COUNTED


def find_quarantine_reason(event: Event, now_us: int) -> Outcome | None:
    """Why a new event is put aside instead of counted. Its identity stays taken."""
    if event.time_us > now_us + AHEAD_US:
        return Outcome(
            "quarantined", "event_time_in_future", f"{(event.time_us - now_us) / 1e6:.6f} s ahead of the log"
        )
    call = event.call
    if call is None:
        field = find_schema_mismatch(event.kind, event.data)
        return Outcome("quarantined", "schema_mismatch", f"{field} is not what the vocabulary says") if field else None
    if call.reported is None or call.tokens is None:
        return None
    difference = _difference(call.tokens, call.reported)
    return Outcome("quarantined", "token_totals_mismatch", difference) if difference else None


def _difference(tokens: dict[str, int], reported: dict[str, int]) -> str | None:
    given = sum(tokens.get(name, 0) for name in INPUT_CLASSES)
    made = sum(tokens.get(name, 0) for name in OUTPUT_CLASSES)
    for total, said in (("input", given), ("output", made), ("total", given + made)):
        if total in reported and reported[total] != said:
            return f"{total}: classes say {said}, provider says {reported[total]}"
    return None
