"""The chain of folds: one record of the log, and everything that follows from it.

Identity first, then rating, then the folds that are given the entry. A new fold is a file and a line in ``FOLDS``.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from ledger import envelope, outcomes
from ledger.errors import LogDamaged, TallyError
from ledger.log import Record
from ledger.log.topics import ALERTS, DECISIONS, ENTRIES, Topic
from streams.folds import budgets, periods, rating, registry, rules
from streams.folds.amendments.corrections import HELD_ROWS, Ledger, apply_correction, revise_entry
from streams.folds.amendments.holds import DueEvent, hold_event, take_due_event
from streams.folds.amendments.restatement import read_no_history, restate_entries
from streams.folds.contracts import agreement as contracts
from streams.folds.emit import Emit, write_index
from streams.folds.entry import Documents, Entry, EntryChange, History, Originals, RatedCall
from streams.folds.event import FACTS, Event, ParsedRecord
from streams.folds.grants import grant_fold as grants
from streams.folds.identity import (
    COUNTED,
    TOKEN_TOTALS_MISMATCH,
    EntryStatus,
    EventPosition,
    EventVersion,
    Identities,
    Outcome,
    find_held_reason,
    find_quarantine_reason,
    take_identity,
)
from streams.folds.runaways import handling, watch
from streams.folds.state import Key, State
from tallystick.vocabulary.controls.prices import PriceRestated

NOW = ("chain", "now")
RELAYED = ("chain", "relayed")

FOLDS = (
    rating.FOLD, contracts.FOLD, periods.FOLD, budgets.FOLD, grants.FOLD, watch.FOLD, handling.FOLD, rules.FOLD,
    registry.FOLD,
)  # fmt: skip
_ON_ENTRY = tuple(fold.on_entry for fold in FOLDS if fold.on_entry is not None)
_ON_CORRECTION = tuple(fold.on_correction for fold in FOLDS if fold.on_correction is not None)
_ON_QUARANTINED = tuple(fold.on_quarantined for fold in FOLDS if fold.on_quarantined is not None)
_ON_CONTROL = {
    control_type: tuple(fold.on_control[control_type] for fold in FOLDS if control_type in fold.on_control)
    for control_type in {control_type for fold in FOLDS for control_type in fold.on_control}
}
_ON_REQUEST = {kind: on_request for fold in FOLDS for kind, on_request in fold.on_request.items()}
_ON_DUE = {fold.name: fold.on_due for fold in FOLDS if fold.on_due is not None}


class _Line(msgspec.Struct, omit_defaults=True, gc=False):
    """The outcome of an event on ``tally.entries``, before what its entry says."""

    partition: int
    offset: int
    seq: int
    accepted_ms: int
    organization: str
    event_index: int
    outcome: str
    kind: str
    source: str | None = None
    id: str | None = None
    time_us: int | None = None
    reason: str | None = None
    detail: str | None = None
    original_offset: int | None = None
    original_index: int | None = None
    billing_month: str | None = None
    observation: str | None = None


_encode = msgspec.json.Encoder().encode
Derived = list[tuple[Topic, Record]]


class _Folded(NamedTuple):
    """What became of an event: its outcome, its entry where it has one, and changes of entries before."""

    outcome: Outcome
    entry: Entry | None = None
    changes: Sequence[EntryChange] = ()


def fold_record(
    parsed: ParsedRecord,
    state: State,
    identities: Identities,
    documents: Documents,
    originals: Originals,
    history: History = read_no_history,
) -> Derived:
    """Derive what one record causes, a record for each topic; ``state`` and ``identities`` move on with it."""
    record, events = parsed
    now_ms = max(state.get(NOW) or 0, record.time_ms)
    state.put(NOW, now_ms)
    emit = Emit(record, now_ms)
    ledger = Ledger(state, documents, _read_own_lines(record, originals), history)
    lines: list[bytes] = []
    for due_us, key in state.take_due(emit.now_us):
        if key[0] == HELD_ROWS:
            lines += _release_due(key, record, len(lines) + 1, identities, ledger, emit)
        else:
            _ON_DUE[str(key[0])](key, due_us, state, emit)
        emit.event_index = -1
    is_relay = _is_relay(record, state)
    for event in events:
        emit.event_index = event.event_index
        folded = _fold_event(event, record.offset, identities, ledger, emit)
        if folded.outcome.outcome == outcomes.HELD:
            hold_event(event, record.offset, is_relay, bool(folded.changes), state)
        if not is_relay:
            lines.append(_encode_line(record, len(lines) + 1, event, folded, state))
            for change in folded.changes:
                lines += _encode_change(record, len(lines) + 1, event, change, state)
    facts = 0 if is_relay else sum(event.kind in FACTS for event in events)
    lines.append(_encode(_record_line(record, facts, len(lines))))
    handling.note_alerts(emit.alerts, state)
    decisions, alerts = map(_encode, emit.decisions), map(_encode, emit.alerts)
    return _derive_records(record, {ENTRIES: lines, DECISIONS: list(decisions), ALERTS: list(alerts)})


def _read_own_lines(record: Record, originals: Originals) -> Originals:
    """Return a reader of the lines before an event, those of its own record included."""

    def read(offset: int, event_index: int) -> bytes:
        return record.value.split(b"\n")[event_index] if offset == record.offset else originals(offset, event_index)

    return read


def _release_due(key: Key, record: Record, seq: int, identities: Identities, ledger: Ledger, emit: Emit) -> list[bytes]:
    """Count a held event that fell due, as if it came now, and return its lines."""
    due = take_due_event(key, identities, ledger, emit)
    event = due.event
    ledger.state.begin()
    emitted = len(emit.decisions), len(emit.alerts)
    try:
        entry, changes = _count_due(due, identities, ledger, emit)
    except (TallyError, MemoryError):
        raise  # as of any event
    except Exception:  # noqa: BLE001  (a defect of a fold: the event is counted without an entry, and verify tells)
        ledger.state.undo()
        del emit.decisions[emitted[0] :], emit.alerts[emitted[1] :]
        entry, changes = None, ()
        if due.version is not None and event.kind == "inference":
            identities[event.identity] = due.version._replace(status=EntryStatus.REVERSED)
    if due.is_relay:
        return []
    outcome = Outcome(outcomes.RELEASE, outcomes.HELD, None, EventVersion(b"", *due.position))
    lines = [_encode_line(record, seq, event, _Folded(outcome, entry), ledger.state)]
    for change in changes:
        lines += _encode_change(record, seq + len(lines), event, change, ledger.state)
    return lines


def _count_due(
    due: DueEvent, identities: Identities, ledger: Ledger, emit: Emit
) -> tuple[Entry | None, Sequence[EntryChange]]:
    """Apply an event that fell due; an inference whose version is no longer in force has no entry."""
    event = due.event
    if due.version is None:
        return None, ()
    if event.kind == "inference":
        identities[event.identity] = due.version.replace_entry(EntryStatus.OWN, emit.order())
    revision = EntryChange(outcomes.REVISION, None) if due.is_revision else None
    folded = _apply_event(event, COUNTED, due.position, revision, identities, ledger, emit)
    return folded.entry, folded.changes


def _fold_event(event: Event, offset: int, identities: Identities, ledger: Ledger, emit: Emit) -> _Folded:
    outcome = take_identity(event, offset, identities)
    if outcome.outcome != outcomes.COUNTED:
        return _Folded(outcome)
    ledger.state.begin()
    emitted = len(emit.decisions), len(emit.alerts)
    try:
        return _fold_new_event(event, offset, outcome, identities, ledger, emit)
    except (TallyError, MemoryError):
        raise  # not the record's fault: the partition stops
    except Exception as error:  # noqa: BLE001  (whatever the pure chain raises, the log goes on)
        ledger.state.undo()
        del emit.decisions[emitted[0] :], emit.alerts[emitted[1] :]
        former, failed = outcome.original, identities[event.identity]
        outcome = Outcome(outcomes.QUARANTINED, "processing_error", f"{type(error).__name__}: {error}"[:200])
        identities[event.identity] = former or failed._replace(status=_quarantined_status(failed, outcome))
        return _Folded(outcome)


def _fold_new_event(
    event: Event, offset: int, outcome: Outcome, identities: Identities, ledger: Ledger, emit: Emit
) -> _Folded:
    former = outcome.original
    change = None if former is None else revise_entry(event, former, ledger)
    quarantined, held = find_quarantine_reason(event), find_held_reason(event, emit.now_us)
    if quarantined is None and held is None:
        return _apply_event(event, outcome, (offset, event.event_index), change, identities, ledger, emit)
    version = identities[event.identity]
    entry = None
    if quarantined is not None:
        status = _quarantined_status(version, quarantined, held is not None)
        entry = _bound_quarantined(event, quarantined, change is None and held is None, ledger, emit)
        if change is not None and status == EntryStatus.BOUNDED:
            change = change._replace(added=_rated_here(event, entry, emit))
    else:
        held = held and held._replace(original=former)
        status = EntryStatus.HELD if version.status == EntryStatus.OWN else version.status
    identities[event.identity] = version._replace(status=status)
    if change is not None:
        _correct_windows(change, ledger, emit)
    return _Folded(quarantined or held or outcome, entry, [] if change is None else [change])


def _apply_event(
    event: Event, outcome: Outcome, position: EventPosition, change: EntryChange | None, identities: Identities,
    ledger: Ledger, emit: Emit,
) -> _Folded:  # fmt: skip
    """Apply a counted event that stands at a position on the log. ``change`` is the entry that it takes back as a
    revision, and None of any other."""
    entry, restated = None, list[EntryChange]()
    if event.call is not None:
        entry = rating.rate_call(event, event.call, ledger.state, ledger.documents)
        if change is not None:
            change = change._replace(added=_rated_here(event, entry, emit))
        else:
            for on_entry in _ON_ENTRY:
                on_entry(event, entry, ledger.state, emit)
    elif event.kind == "correction":
        change = apply_correction(event, position, identities, ledger, emit)
    elif event.kind == "control" and event.data["control"] == PriceRestated.control_type:
        restated = restate_entries(event, position, identities, ledger, emit)
    elif event.kind == "control":
        for on_control in _ON_CONTROL.get(event.data["control"], ()):
            on_control(event, ledger.state, ledger.documents, emit)
    elif event.kind in _ON_REQUEST:
        _ON_REQUEST[event.kind](event, ledger.state, ledger.documents, emit)
    changes = restated if change is None else [change]
    for entry_change in changes:
        _correct_windows(entry_change, ledger, emit)
    identities.update(entry_change.target for entry_change in changes if entry_change.target is not None)
    return _Folded(outcome, entry, changes)


def _correct_windows(change: EntryChange, ledger: Ledger, emit: Emit) -> None:
    for on_correction in _ON_CORRECTION:
        on_correction(change, ledger.state, emit)


def _rated_here(event: Event, entry: Entry | None, emit: Emit) -> RatedCall | None:
    return None if entry is None else RatedCall(event, entry, emit.order())


def _bound_quarantined(event: Event, outcome: Outcome, is_new: bool, ledger: Ledger, emit: Emit) -> Entry | None:
    """Return the most that a quarantined inference may cost. One whose time lies ahead is not new to the windows."""
    if event.call is None:
        return None
    entry = rating.rate_quarantined(event, event.call, ledger.state, ledger.documents)
    if is_new and outcome.reason == TOKEN_TOTALS_MISMATCH:
        for on_quarantined in _ON_QUARANTINED:
            on_quarantined(event, entry, ledger.state, emit)
    return entry


def _quarantined_status(version: EventVersion, outcome: Outcome, is_ahead: bool = False) -> int:
    """Return the status of a version that is quarantined. An inference has a bound in the windows, or no entry; any
    other event never has one."""
    if version.status not in (EntryStatus.OWN, EntryStatus.BOUNDED):
        return version.status
    if outcome.reason != TOKEN_TOTALS_MISMATCH:
        return EntryStatus.QUARANTINED
    return EntryStatus.BOUNDED_AHEAD if is_ahead else EntryStatus.BOUNDED


def _is_relay(record: Record, state: State) -> bool:
    """Tell whether the record is the copy of one that concerns everyone. A copy follows the one before it, or repeats
    one that came, and then its event is a duplicate. LogDamaged where one is missing."""
    predecessor = record.headers.get(envelope.RELAY_AFTER)
    if predecessor is None:
        return False
    original = record.headers.get(envelope.RELAY_OF)
    last_relayed = state.get(RELAYED) or ""
    if original is not None and _original_offset(original) <= _original_offset(last_relayed):
        return True
    if predecessor != last_relayed:
        raise LogDamaged(
            f"partition {record.partition}, offset {record.offset} relays what follows {predecessor or 'nothing'!r}, "
            f"but the last that was relayed here is {last_relayed or 'nothing'!r}: restore the log from a copy"
        )
    state.put(RELAYED, original or f"{record.partition}:{record.offset}")
    return original is not None


def _original_offset(name: str) -> int:
    """Read the offset of an original from its name, ``partition:offset``; -1 of none."""
    return int(name.rpartition(":")[2] or -1)


def _encode_line(record: Record, seq: int, event: Event, folded: _Folded, state: State) -> bytes:
    """Write one object: the outcome of the event, then an entry's dimensions, then what it cost."""
    outcome, entry = folded.outcome, folded.entry
    line = _start_line(record, seq, event, outcome.outcome, event.kind)
    line.reason, line.detail = outcome.reason, outcome.detail
    if event.kind == "observation" and outcome.outcome in (outcomes.COUNTED, outcomes.RELEASE):
        line.observation = _encode(event.data).decode()
    if outcome.original is not None:
        line.original_offset, line.original_index = outcome.original.position
    return _encode(line) if entry is None else _join_entry(line, entry, state)


def _encode_change(record: Record, seq: int, event: Event, change: EntryChange, state: State) -> list[bytes]:
    """Write the entry that is taken back, and the one that is added. A revision's own stands on its outcome."""
    lines: list[bytes] = []
    if change.reversed is not None:
        former = change.reversed
        line = _start_line(record, seq, former.event, outcomes.REVERSAL, "inference")
        line.event_index, line.reason = write_index(event.event_index), change.reason
        line.original_offset, line.original_index = former.position[0], write_index(former.position[1])
        lines.append(_join_entry(line, rating.negate_entry(former.entry), state))
    if change.added is not None and change.corrected is not None:
        line = _start_line(record, seq + len(lines), change.added.event, _name_addition(change), "inference")
        line.event_index, line.reason = write_index(event.event_index), change.leaves
        line.original_offset, line.original_index = change.corrected[0], write_index(change.corrected[1])
        lines.append(_join_entry(line, change.added.entry, state))
    return lines


def _name_addition(change: EntryChange) -> str:
    """Name the line of the entry that a change adds."""
    if change.reason == outcomes.RESTATEMENT:
        return outcomes.RESTATEMENT
    return outcomes.REPLACEMENT if change.leaves is None else outcomes.RELEASE


def _start_line(record: Record, seq: int, event: Event, outcome: str, kind: str) -> _Line:
    line = _Line(
        record.partition, record.offset, seq, record.time_ms, event.organization, write_index(event.event_index),
        outcome, kind,
    )  # fmt: skip
    if kind != "unknown":
        line.source, line.id, line.time_us = event.source, event.id, event.time_us
    return line


def _join_entry(line: _Line, entry: Entry, state: State) -> bytes:
    assert line.time_us is not None, "an entry has a time"
    line.billing_month = periods.find_billing_month(line.organization, line.time_us, state)
    objects = _encode(line)[1:-1], _encode(entry.dimensions)[1:-1], entry.rated[1:-1]
    return b"{" + b",".join(filter(None, objects)) + b"}"


def _record_line(record: Record, facts: int, lines: int) -> dict[str, Any]:
    refused = record.refused
    return {
        "partition": record.partition,
        "offset": record.offset,
        "seq": lines + 1,
        "accepted_ms": record.time_ms,
        "organization": record.organization,
        "outcome": "record",
        "received": facts + refused,
        "refused": refused,
        "channel": record.channel,
    }


def _derive_records(record: Record, lines_of: dict[Topic, list[bytes]]) -> Derived:
    """Make a record for each topic that has lines. Its own offset is given when it is stored."""
    headers = {
        envelope.ORGANIZATION: record.organization,
        envelope.CAUSE_PARTITION: str(record.partition),
        envelope.CAUSE_OFFSET: str(record.offset),
        envelope.CAUSE_HASH: record.digest(),
    }
    return [
        (topic, Record(record.partition, -1, record.time_ms, record.key, headers, b"\n".join(lines)))
        for topic, lines in lines_of.items()
        if lines
    ]
