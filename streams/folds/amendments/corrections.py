"""Corrections: take an entry back, and put another in its place (docs/rules.md, R10 and R11).

What an entry was follows from the log: its event is read at its position, and rated by the price books in force there.
"""

from typing import NamedTuple

from msgspec.structs import replace

from ledger import outcomes
from ledger.errors import LogDamaged
from streams.folds.call import Call
from streams.folds.contracts.coverage import release_coverage
from streams.folds.emit import Emit
from streams.folds.entry import Documents, Entry, EntryChange, History, Originals, RatedCall
from streams.folds.event import Event, parse_line
from streams.folds.identity import (
    EntryStatus,
    EventPosition,
    EventVersion,
    Identities,
    build_replacement,
    find_target,
    read_revision,
)
from streams.folds.rating import rate_call, rate_quarantined
from streams.folds.state import Key, State

HELD_ROWS = "held"
"""The first part of the keys of held events' rows."""


class Ledger(NamedTuple):
    """What entries of the past follow from."""

    state: State
    documents: Documents
    originals: Originals
    history: History

    def load_entry(self, version: EventVersion, organization: str) -> RatedCall | None:
        """Rate the entry in force of an event as it was, or its bound in quarantine; None where it has neither."""
        line, position, rated_position = version.line_position, version.entry_position, version.rated_position
        if line is None or position is None:
            return None
        event = self.load_event(line, organization)
        if event.kind == "correction":
            event = build_corrected_event(event, self.load_event(version.position, organization))
        elif event.content != version.content:
            raise _damage_error(line)
        if event.call is None:
            raise _damage_error(line)
        entry = self._rate(event, event.call, version, rated_position)
        return RatedCall(event, entry, position, version.status != EntryStatus.BOUNDED_AHEAD)

    def rate_again(self, former: RatedCall, version: EventVersion) -> RatedCall:
        """Rate an entry in force by the prices that are in force now."""
        assert former.event.call is not None, "it has an entry"
        return former._replace(entry=self._rate(former.event, former.event.call, version, None))

    def _rate(self, event: Event, call: Call, version: EventVersion, position: EventPosition | None) -> Entry:
        is_bounded = version.status in (EntryStatus.BOUNDED, EntryStatus.BOUNDED_AHEAD)
        rate = rate_quarantined if is_bounded else rate_call
        return rate(event, call, self.state, self.documents, position)

    def load_event(self, position: EventPosition, organization: str) -> Event:
        """Read the event at a position before."""
        offset, event_index = position
        return parse_line(event_index, self.originals(offset, event_index), organization)


def revise_entry(event: Event, former: EventVersion, ledger: Ledger) -> EntryChange:
    """Take back the entry of the version before. What the new version adds is the caller's."""
    reversed_call = ledger.load_entry(former, event.organization)
    if reversed_call is not None:
        release_coverage(reversed_call.event, ledger.state)
    return EntryChange(outcomes.REVISION, reversed_call)


def apply_correction(
    event: Event, position: EventPosition, identities: Identities, ledger: Ledger, emit: Emit
) -> EntryChange | None:
    """Find what a correction changes that stands at a position on the log; where it has no effect, say why in a
    decision and return None."""
    target = find_target(event)
    version = None if target is None else identities.load_version(target)
    action = event.data["action"]
    obstacle = _find_obstacle(version, action)
    original = None
    if obstacle is None and target is not None and version is not None:
        original, obstacle = _find_original(event, position, target, version, ledger)
    if target is None or version is None or original is None or obstacle is not None:
        emit.decision(
            event.organization, "correction.ineffective", reason=obstacle, event_source=event.source, event_id=event.id
        )
        return None
    reversed_call = ledger.load_entry(version, event.organization)
    if reversed_call is not None:
        release_coverage(reversed_call.event, ledger.state)
    if action == outcomes.REVERSAL:
        left = version.replace_entry(EntryStatus.REVERSED, None)
        return EntryChange(outcomes.REVERSAL, reversed_call, None, version.position, (target, left))
    leaves = _leave_outcome(version, action, target, ledger.state)
    if action == outcomes.ACCEPTANCE:
        version = version._replace(
            content=original.content, offset=event.data["accepted"]["offset"], event_index=original.event_index
        )
    corrected = build_corrected_event(event, original)
    assert corrected.call is not None, "a correction that has an effect counts a call"
    entry = rate_call(corrected, corrected.call, ledger.state, ledger.documents)
    place = emit.order()
    left = version.replace_entry(EntryStatus.ELSEWHERE, place, position)
    return EntryChange(
        action, reversed_call, RatedCall(corrected, entry, place), version.position, (target, left), leaves
    )


def _leave_outcome(version: EventVersion, action: str, target: bytes, state: State) -> str | None:
    """Return the outcome that an event leaves by a release or an acceptance; None of a replacement. A held event no
    longer falls due, and a version that a conflict takes the place of is remembered."""
    if action == outcomes.ACCEPTANCE:
        key = _accepted_key(target)
        state.put(key, (*(state.get(key) or ()), version.content.hex()))
        return outcomes.CONFLICT
    if action != outcomes.RELEASE:
        return None
    if version.status != EntryStatus.HELD:
        return outcomes.QUARANTINED
    state.delete((HELD_ROWS, *version.position))
    return outcomes.HELD


def build_corrected_event(correction: Event, original: Event) -> Event:
    """Build the event that a correction counts: the inference that it holds, or its original. At the original's time,
    or at the correction's own where that is earlier."""
    time_us = min(original.time_us, correction.time_us)
    if correction.data["action"] != outcomes.REPLACEMENT:
        return replace(original, event_index=correction.event_index, time_us=time_us)
    return Event(
        correction.event_index, correction.organization, "inference", correction.source, correction.id, time_us,
        call=build_replacement(correction),
    )  # fmt: skip


def _find_obstacle(version: EventVersion | None, action: str) -> str | None:
    """Return why a correction has no effect on the version in force; None where it has one."""
    if version is None:
        return "no event before it has this identity in this organization: send it after the event that it names"
    if version.status == EntryStatus.CORRECTION:
        return "it names a correction: name the event that was corrected"
    if version.status == EntryStatus.OTHER:
        return "it names no inference, and only an inference has an entry"
    if action == outcomes.REVERSAL and version.status == EntryStatus.REVERSED:
        return "the event is reversed already"
    if action == outcomes.REVERSAL and version.status == EntryStatus.QUARANTINED:
        return "the event is quarantined, and has no entry to reverse"
    if action == outcomes.RELEASE and version.status == EntryStatus.OWN:
        return "the event is counted already"
    if action == outcomes.RELEASE and version.status == EntryStatus.ELSEWHERE:
        return "the event was corrected or released before, and an entry counts for it already"
    if action == outcomes.RELEASE and version.status == EntryStatus.REVERSED:
        return "the event is reversed: replace it to count it again"
    return None


def _find_original(
    correction: Event, position: EventPosition, target: bytes, version: EventVersion, ledger: Ledger
) -> tuple[Event | None, str | None]:
    """Find the event whose line a correction counts, or whose time it keeps, or why there is none."""
    if correction.data["action"] == outcomes.ACCEPTANCE:
        return _find_conflict(correction, position, target, version, ledger)
    original = ledger.load_event(version.position, correction.organization)
    if correction.data["action"] == outcomes.RELEASE and original.call is None:
        return None, "the event does not fit the vocabulary: replace it by one that does"
    return original, None


def _find_conflict(
    correction: Event, position: EventPosition, target: bytes, version: EventVersion, ledger: Ledger
) -> tuple[Event | None, str | None]:
    """Find the line that an acceptance names, or why it is in no conflict with the version in force."""
    accepted = correction.data["accepted"]
    conflict_position = accepted["offset"], accepted["event_index"]
    missing = f"no event with this identity stands at offset {accepted['offset']}, index {accepted['event_index']}"
    if conflict_position >= position:
        return None, f"{missing} before the correction"
    try:
        conflict = ledger.load_event(conflict_position, correction.organization)
    except (LogDamaged, LookupError):  # the position is a person's, and may be none
        return None, missing
    if conflict.identity != target:
        return None, missing
    if conflict.content == version.content:
        return None, "that line is the version in force, or a duplicate of it"
    if conflict.kind != "inference" or conflict.call is None:
        return None, "that line does not fit the vocabulary: replace the event by one that does"
    if read_revision(conflict) != version.revision:
        return None, f"that line has another revision than the one in force, {version.revision}: it is no conflict"
    if conflict.content.hex() in (ledger.state.get(_accepted_key(target)) or ()):
        return None, "that line was in force before an acceptance: replace the event to count it again"
    return conflict, None


def _accepted_key(target: bytes) -> Key:
    return ("accepted", target.hex())


def _damage_error(position: EventPosition) -> LogDamaged:
    offset, event_index = position
    return LogDamaged(
        f"the event at offset {offset}, index {event_index} of tally.events is not the one that was folded: restore "
        "the log from a copy, or derive everything again from the log as it is (`tally rebuild`)"
    )
