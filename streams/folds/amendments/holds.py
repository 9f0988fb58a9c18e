"""Hold events whose time lies ahead of the log's, until it comes (docs/rules.md, R4).

A held event is a row of the state, due when its time has come. Its line is then read from the log once more, and the
event is folded as if it came now, before the record that revealed that it is due.
"""

from typing import NamedTuple

from msgspec.structs import replace

from streams.folds.amendments.corrections import HELD_ROWS, Ledger
from streams.folds.emit import Emit
from streams.folds.event import Event
from streams.folds.identity import MAX_AHEAD_US, EntryStatus, EventPosition, EventVersion, Identities
from streams.folds.state import Key, State


class DueEvent(NamedTuple):
    """A held event that fell due: with an index of its own in the record that revealed it, its position on the log,
    whether it is a relay's, whether it revises another, and its version where the event is still in force."""

    event: Event
    position: EventPosition
    is_relay: bool
    is_revision: bool
    version: EventVersion | None


def build_key(position: EventPosition) -> Key:
    """Build the key of a held event's row."""
    return (HELD_ROWS, *position)


def hold_event(event: Event, offset: int, is_relay: bool, is_revision: bool, state: State) -> None:
    """Hold an event until its time has come, up to the tolerance."""
    row = (event.organization, is_relay, is_revision)
    state.put(build_key((offset, event.event_index)), row, event.time_us - MAX_AHEAD_US)


def take_due_event(key: Key, identities: Identities, ledger: Ledger, emit: Emit) -> DueEvent:
    """Take a held event that fell due out of the state, and read it. An inference is in force unless a correction or a
    greater revision came before; any other event is."""
    position = int(key[1]), int(key[2])
    organization, is_relay, is_revision = ledger.state.get(key)
    ledger.state.delete(key)
    event = ledger.load_event(position, organization)
    version = identities.load_version(event.identity)
    if version is not None and event.kind == "inference":
        is_in_force = version.position == position and version.status == EntryStatus.HELD
        version = version if is_in_force else None
    emit.event_index = emit.next_due_index()
    return DueEvent(replace(event, event_index=emit.event_index), position, is_relay, is_revision, version)
