"""Identity: the outcome of an event before anything is counted (docs/rules.md, R3 and R4)."""

from collections.abc import MutableMapping
from typing import NamedTuple

from ledger import outcomes
from ledger.token_classes import INPUT_CLASSES, OUTPUT_CLASSES
from streams.folds.event import Event
from streams.folds.schema_check import find_schema_mismatch

MAX_AHEAD_US = 300 * 1_000_000
"""The greatest distance of an event's time ahead of the log's time."""
TOKEN_TOTALS_MISMATCH = "token_totals_mismatch"


class FirstSeen(NamedTuple):
    """The first line with an identity: a hash of its content, and its position."""

    content: bytes
    offset: int
    event_index: int


Identities = MutableMapping[bytes, FirstSeen]


class Outcome(NamedTuple):
    """An outcome, its reason and detail, and the event of the same identity that came first."""

    outcome: str
    reason: str | None = None
    detail: str | None = None
    original: FirstSeen | None = None


COUNTED = Outcome(outcomes.COUNTED)


def take_identity(event: Event, offset: int, identities: Identities) -> Outcome:
    """Take the event's identity, or name the event that has it. ``identities`` gains an identity that is new."""
    if event.kind == "unknown":
        return Outcome(outcomes.QUARANTINED, "malformed", event.detail)
    first = identities.get(event.identity)
    if first is not None:
        if first.content == event.content:
            return Outcome(outcomes.DUPLICATE, original=first)
        return Outcome(outcomes.CONFLICT, "content_mismatch", original=first)
    identities[event.identity] = FirstSeen(event.content, offset, event.event_index)
    return COUNTED


def find_quarantine_reason(event: Event, now_us: int) -> Outcome | None:
    """Return why a new event is quarantined instead of counted; None where it is counted. Its identity stays taken."""
    if event.time_us > now_us + MAX_AHEAD_US:
        return Outcome(
            outcomes.QUARANTINED, "event_time_in_future", f"{(event.time_us - now_us) / 1e6:.6f} s ahead of the log"
        )
    call = event.call
    if call is None:
        field = find_schema_mismatch(event.kind, event.data)
        if field is None:
            return None
        return Outcome(outcomes.QUARANTINED, "schema_mismatch", f"{field} is not what the vocabulary says")
    if call.reported is None or call.tokens is None:
        return None
    difference = _difference(call.tokens, call.reported)
    return Outcome(outcomes.QUARANTINED, TOKEN_TOTALS_MISMATCH, difference) if difference else None


def _difference(tokens: dict[str, int], reported: dict[str, int]) -> str | None:
    input_tokens = sum(tokens.get(name, 0) for name in INPUT_CLASSES)
    output_tokens = sum(tokens.get(name, 0) for name in OUTPUT_CLASSES)
    for name, total in (("input", input_tokens), ("output", output_tokens), ("total", input_tokens + output_tokens)):
        if name in reported and reported[name] != total:
            return f"{name}: classes sum to {total}, provider reports {reported[name]}"
    return None
