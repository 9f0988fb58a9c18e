"""Corrections: take an entry back, and put another in its place (docs/rules.md, R10 and R11).

What an entry was follows from the log: its event is read at its position, and rated by the price books in force there.
"""

from typing import NamedTuple

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
)
from streams.folds.rating import rate_call, rate_quarantined
from streams.folds.state import State


class Ledger(NamedTuple):
    """What entries of the past follow from."""

    state: State
    documents: Documents
    originals: Originals
    history: History

    def load_entry(self, version: EventVersion, organization: str) -> RatedCall | None:
        """Rate the entry in force of an event as it was, or its bound in quarantine; None where it has neither."""
        position = version.entry_position
        if position is None:
            return None
        event = self.load_event(position, organization)
        if event.kind == "correction":
            event = build_replaced_event(event, self.load_event(version.position, organization))
        elif event.content != version.content:
            raise _damage_error(position)
        if event.call is None:
            raise _damage_error(position)
        return RatedCall(event, self._rate(event, event.call, version, version.rated_position), position)

    def rate_again(self, former: RatedCall, version: EventVersion) -> RatedCall:
        """Rate an entry in force by the prices that are in force now."""
        assert former.event.call is not None, "it has an entry"
        return former._replace(entry=self._rate(former.event, former.event.call, version, None))

    def _rate(self, event: Event, call: Call, version: EventVersion, position: EventPosition | None) -> Entry:
        rate = rate_quarantined if version.status == EntryStatus.BOUNDED else rate_call
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


def apply_correction(event: Event, identities: Identities, ledger: Ledger, emit: Emit) -> EntryChange | None:
    """Find what a counted correction changes; where it has no effect, say why in a decision and return None."""
    target = find_target(event)
    version = None if target is None else identities.get(target)
    is_replacement = event.data["action"] == outcomes.REPLACEMENT
    obstacle = _find_obstacle(version, is_replacement)
    if target is None or version is None or obstacle is not None:
        emit.decision(
            event.organization, "correction.ineffective", reason=obstacle, event_source=event.source, event_id=event.id
        )
        return None
    reversed_call = ledger.load_entry(version, event.organization)
    if reversed_call is not None:
        release_coverage(reversed_call.event, ledger.state)
    if not is_replacement:
        left = version._replace(status=EntryStatus.REVERSED, entry_offset=0, entry_index=0)
        return EntryChange(outcomes.REVERSAL, reversed_call, None, version.position, (target, left))
    replaced = build_replaced_event(event, ledger.load_event(version.position, event.organization))
    assert replaced.call is not None, "a counted correction fits the vocabulary"
    _, offset, event_index = emit.position()
    entry = rate_call(replaced, replaced.call, ledger.state, ledger.documents)
    left = version._replace(
        status=EntryStatus.ELSEWHERE, entry_offset=offset, entry_index=event_index, rated_offset=0, rated_index=0
    )
    added = RatedCall(replaced, entry, (offset, event_index))
    return EntryChange(outcomes.REPLACEMENT, reversed_call, added, version.position, (target, left))


def build_replaced_event(correction: Event, original: Event) -> Event:
    """Build the event that a correction puts in place of its original: at the original's time, or at its own where
    that is earlier."""
    time_us = min(original.time_us, correction.time_us)
    return Event(
        correction.event_index, correction.organization, "inference", correction.source, correction.id, time_us,
        call=build_replacement(correction),
    )  # fmt: skip


def _find_obstacle(version: EventVersion | None, is_replacement: bool) -> str | None:
    """Return why a correction has no effect; None where it has one."""
    if version is None:
        return "no event before it has this identity in this organization: send it after the event that it names"
    if version.status == EntryStatus.CORRECTION:
        return "it names a correction: name the event that was corrected"
    if version.status == EntryStatus.OTHER:
        return "it names no inference, and only an inference has an entry"
    if not is_replacement and version.status == EntryStatus.REVERSED:
        return "the event is reversed already"
    if not is_replacement and version.status == EntryStatus.QUARANTINED:
        return "the event is quarantined, and has no entry to reverse"
    return None


def _damage_error(position: EventPosition) -> LogDamaged:
    offset, event_index = position
    return LogDamaged(
        f"the event at offset {offset}, index {event_index} of tally.events is not the one that was folded: restore "
        "the log from a copy, or derive everything again from the log as it is (`tally rebuild`)"
    )
