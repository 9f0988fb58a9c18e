"""Identity: the outcome of an event before anything is counted (docs/rules.md, R3 and R4)."""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import NamedTuple

from ledger import outcomes
from ledger.inference_fields import MAX_COUNT
from ledger.token_classes import INPUT_CLASSES, OUTPUT_CLASSES
from streams.folds.call import Call, convert_call
from streams.folds.event import Event, hash_identity
from streams.folds.schema_check import find_schema_mismatch

MAX_AHEAD_US = 300 * 1_000_000
"""The greatest distance of an event's time ahead of the log's time."""
TOKEN_TOTALS_MISMATCH = "token_totals_mismatch"

EventPosition = tuple[int, int]
"""The place of an event in its partition: offset and event index."""
NO_POSITION: EventPosition = (0, 0)


class EntryStatus(IntEnum):
    """The place of the entry in force for an event, if it has one."""

    OWN = 0
    """The event was counted, and its own entry is in force."""
    ELSEWHERE = 1
    """The entry at another position is in force, for example that of a correction."""
    REVERSED = 2
    """The entry was reversed, and none is in force."""
    QUARANTINED = 3
    """An inference that has no entry: it does not fit the vocabulary, or the chain failed on it."""
    CORRECTION = 4
    """The event is a correction."""
    OTHER = 5
    """The event is a control record, an observation or a tick."""
    BOUNDED = 6
    """An inference that is quarantined for its totals: its bound is in force in place of an entry."""
    HELD = 7
    """An inference that is held until its time comes: it has no entry yet."""
    BOUNDED_AHEAD = 8
    """As BOUNDED, with a time that lies ahead: its bound is in force, and in no window of a budget."""


class EventVersion(NamedTuple):
    """The version of an event that has its identity: a hash of its content, its position, its revision (0 where it has
    none), and the entry in force.

    Three positions tell of that entry. Entry offset and index are the line of ``tally.events`` that it follows from, of
    ``ELSEWHERE`` alone. Anchor offset and index are its position on ``tally.entries``, where that is not the line's, as
    of an event that fell due. Rated offset and index are the position by whose prices it was rated last, where it was
    restated. 0 and 0 are none; an index is negative of what fell due with a record."""

    content: bytes
    offset: int
    event_index: int
    revision: int = 0
    status: int = EntryStatus.OWN
    entry_offset: int = 0
    entry_index: int = 0
    anchor_offset: int = 0
    anchor_index: int = 0
    rated_offset: int = 0
    rated_index: int = 0

    @property
    def position(self) -> EventPosition:
        """Return the position of the event."""
        return self.offset, self.event_index

    @property
    def line_position(self) -> EventPosition | None:
        """Return the position of the line that the entry in force follows from; None where there is no entry."""
        if self.status in (EntryStatus.OWN, EntryStatus.BOUNDED, EntryStatus.BOUNDED_AHEAD):
            return self.offset, self.event_index
        return (self.entry_offset, self.entry_index) if self.status == EntryStatus.ELSEWHERE else None

    @property
    def entry_position(self) -> EventPosition | None:
        """Return the position of the entry in force on ``tally.entries``; None where there is none."""
        anchor = self.anchor_offset, self.anchor_index
        return anchor if anchor != NO_POSITION and self.line_position is not None else self.line_position

    @property
    def rated_position(self) -> EventPosition | None:
        """Return the position by whose prices the entry in force was rated last; None where there is none."""
        rated = self.rated_offset, self.rated_index
        return rated if rated != NO_POSITION and self.line_position is not None else self.entry_position

    def replace_entry(
        self, status: EntryStatus, place: EventPosition | None, line: EventPosition | None = None
    ) -> "EventVersion":
        """Return the version with another entry in force, or none, which is rated at the place where it stands.
        ``line`` is the one that it follows from, where that is not the event's."""
        anchor = place if place is not None and place != (line or self.position) else NO_POSITION
        return EventVersion(*self[:4], status, *(line or NO_POSITION), *anchor)

    def restate(self, position: EventPosition) -> "EventVersion":
        """Return the version with its entry rated by the prices at a position."""
        return self._replace(rated_offset=position[0], rated_index=position[1])


class Identities(dict[bytes, EventVersion]):
    """The identities that a run of records meets, by hash. Any other is read through from the store on demand."""

    def __init__(
        self,
        versions: Mapping[bytes, EventVersion] | None = None,
        load: Callable[[bytes], EventVersion | None] = lambda identity: None,
    ) -> None:
        super().__init__(versions or {})
        self.stored = dict(self)
        """The versions as the store has them."""
        self._load = load

    def load_version(self, identity: bytes) -> EventVersion | None:
        """Return the version that has an identity which the records may not name, as that of an event which falls
        due; None where the identity is free. Slower than :meth:`get`: it may read the store."""
        version = self.get(identity)
        if version is None and (version := self._load(identity)) is not None:
            self[identity] = self.stored[identity] = version
        return version

    def list_changes(self) -> dict[bytes, EventVersion]:
        """Return the versions that the store does not have yet."""
        return {identity: version for identity, version in self.items() if self.stored.get(identity) is not version}


class Outcome(NamedTuple):
    """An outcome, its reason and detail, and the event of the same identity that came before."""

    outcome: str
    reason: str | None = None
    detail: str | None = None
    original: EventVersion | None = None


COUNTED = Outcome(outcomes.COUNTED)


def take_identity(event: Event, offset: int, identities: Identities) -> Outcome:
    """Take the event's identity, or name the event that has it. ``identities`` gains an identity that is new.

    An inference with a greater revision takes the identity from the version before it, which it names."""
    if event.kind == "unknown":
        return Outcome(outcomes.QUARANTINED, "malformed", event.detail)
    former = identities.get(event.identity)
    if former is not None and former.content == event.content:
        return Outcome(outcomes.DUPLICATE, original=former)
    revision = read_revision(event)
    if former is not None and revision <= former.revision:
        if revision < former.revision and event.kind == "inference":
            return Outcome(outcomes.DUPLICATE, "superseded", original=former)
        return Outcome(outcomes.CONFLICT, "content_mismatch", original=former)
    if former is not None and former.status in (EntryStatus.CORRECTION, EntryStatus.OTHER):
        return Outcome(outcomes.CONFLICT, "content_mismatch", original=former)
    status = _STATUSES.get(event.kind, EntryStatus.OTHER)
    identities[event.identity] = EventVersion(event.content, offset, event.event_index, revision, status)
    return COUNTED if former is None else Outcome(outcomes.COUNTED, original=former)


def find_target(event: Event) -> bytes | None:
    """Return the identity that a correction names; None for any other event, and where it names none."""
    if event.kind != "correction":
        return None
    target = event.data.get("of")
    source, id = (target.get("source"), target.get("id")) if isinstance(target, dict) else (None, None)
    if not isinstance(source, str) or not isinstance(id, str):
        return None
    return hash_identity(event.organization, source, id)


def build_replacement(event: Event) -> Call | None:
    """Build the call that a correction puts in place of another; None of any other event."""
    replacement = event.data.get("replacement") if event.kind == "correction" else None
    return convert_call(replacement) if isinstance(replacement, dict) else None


def read_revision(event: Event) -> int:
    """Read the revision of an inference; 0 where it has none, and of any other event."""
    if event.call is not None:
        return event.call.dimensions.revision or 0
    revision = event.data.get("revision") if event.kind == "inference" else None
    return revision if type(revision) is int and 0 <= revision <= MAX_COUNT else 0


_STATUSES = {"inference": EntryStatus.OWN, "correction": EntryStatus.CORRECTION}


def find_held_reason(event: Event, now_us: int) -> Outcome | None:
    """Return why a new event is held; None where its time has come, up to the tolerance."""
    if event.time_us <= now_us + MAX_AHEAD_US:
        return None
    ahead_us = event.time_us - now_us
    detail = f"{ahead_us // 1_000_000}.{ahead_us % 1_000_000:06d} s ahead of the log"
    return Outcome(outcomes.HELD, "event_time_in_future", detail)


def find_quarantine_reason(event: Event) -> Outcome | None:
    """Return why a new event is quarantined instead of counted; None where it is not. Its identity stays taken."""
    call = event.call
    if call is None:
        field = find_schema_mismatch(event.kind, event.data)
        if field is not None:
            return Outcome(outcomes.QUARANTINED, "schema_mismatch", f"{field} is not what the vocabulary says")
        call = build_replacement(event)
    if call is None or call.reported is None or call.tokens is None:
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
