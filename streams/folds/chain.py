"""The chain of folds: one record of the log, and everything that follows from it.

Identity first, then rating, then the folds that are given the entry. A new fold is a file and a line in ``FOLDS``.
"""

from typing import Any

import msgspec

from ledger import envelope, outcomes
from ledger.errors import LogDamaged, TallyError
from ledger.log import Record
from ledger.log.topics import ALERTS, DECISIONS, ENTRIES, Topic
from streams.folds import budgets, rating, rules
from streams.folds.emit import Emit
from streams.folds.entry import Documents, Entry
from streams.folds.event import FACTS, Event, ParsedRecord
from streams.folds.identity import TOKEN_TOTALS_MISMATCH, Identities, Outcome, find_quarantine_reason, take_identity
from streams.folds.runaways.registry import DETECTORS
from streams.folds.state import State

NOW = ("chain", "now")
RELAYED = ("chain", "relayed")

FOLDS = (rating.FOLD, budgets.FOLD, *DETECTORS, rules.FOLD)
_ON_ENTRY = tuple(fold.on_entry for fold in FOLDS if fold.on_entry is not None)
_ON_QUARANTINED = tuple(fold.on_quarantined for fold in FOLDS if fold.on_quarantined is not None)
_ON_CONTROL = {
    control_type: tuple(fold.on_control[control_type] for fold in FOLDS if control_type in fold.on_control)
    for control_type in {control_type for fold in FOLDS for control_type in fold.on_control}
}
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


_encode = msgspec.json.Encoder().encode
Derived = list[tuple[Topic, Record]]


def fold_record(parsed: ParsedRecord, state: State, identities: Identities, documents: Documents) -> Derived:
    """Derive what one record causes, a record for each topic; ``state`` and ``identities`` move on with it."""
    record, events = parsed
    now_ms = max(state.get(NOW) or 0, record.time_ms)
    state.put(NOW, now_ms)
    emit = Emit(record, now_ms)
    for due_us, key in state.take_due(emit.now_us):
        _ON_DUE[str(key[0])](key, due_us, state, emit)
    is_relay = _is_relay(record, state)
    lines: list[bytes] = []
    for event in events:
        emit.event_index = event.event_index
        outcome, entry = _fold_event(event, record.offset, state, identities, documents, emit)
        if not is_relay:
            lines.append(_encode_line(record, event, outcome, entry))
    facts = 0 if is_relay else sum(event.kind in FACTS for event in events)
    lines.append(_encode(_record_line(record, facts, len(lines))))
    decisions, alerts = map(_encode, emit.decisions), map(_encode, emit.alerts)
    return _derive_records(record, {ENTRIES: lines, DECISIONS: list(decisions), ALERTS: list(alerts)})


def _fold_event(
    event: Event, offset: int, state: State, identities: Identities, documents: Documents, emit: Emit
) -> tuple[Outcome, Entry | None]:
    outcome = take_identity(event, offset, identities)
    if outcome.outcome != outcomes.COUNTED:
        return outcome, None
    state.begin()
    emitted = len(emit.decisions), len(emit.alerts)
    try:
        quarantined = find_quarantine_reason(event, emit.now_us)
        if quarantined is not None:
            return quarantined, _bound_quarantined(event, quarantined, state, documents, emit)
        return outcome, _run_folds(event, state, documents, emit)
    except (TallyError, MemoryError):
        raise  # not the record's fault: the partition stops
    except Exception as error:  # noqa: BLE001  (whatever the pure chain raises, the log goes on)
        state.undo()
        del emit.decisions[emitted[0] :], emit.alerts[emitted[1] :]
        return Outcome(outcomes.QUARANTINED, "processing_error", f"{type(error).__name__}: {error}"[:200]), None


def _bound_quarantined(event: Event, outcome: Outcome, state: State, documents: Documents, emit: Emit) -> Entry | None:
    """Return the most that a quarantined inference may cost. One whose time lies ahead enters no window yet."""
    if event.call is None:
        return None
    entry = rating.rate_quarantined(event, event.call, state, documents)
    if outcome.reason == TOKEN_TOTALS_MISMATCH:
        for on_quarantined in _ON_QUARANTINED:
            on_quarantined(event, entry, state, emit)
    return entry


def _run_folds(event: Event, state: State, documents: Documents, emit: Emit) -> Entry | None:
    if event.call is not None:
        entry = rating.rate_call(event, event.call, state, documents)
        for on_entry in _ON_ENTRY:
            on_entry(event, entry, state, emit)
        return entry
    if event.kind == "control":
        for on_control in _ON_CONTROL.get(event.data["control"], ()):
            on_control(event, state, documents, emit)
    return None


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


def _encode_line(record: Record, event: Event, outcome: Outcome, entry: Entry | None) -> bytes:
    """Write one object: the outcome of the event, then an entry's dimensions, then what it cost."""
    line = _Line(
        record.partition, record.offset, event.event_index + 1, record.time_ms, event.organization,
        event.event_index, outcome.outcome, event.kind,
    )  # fmt: skip
    if event.kind != "unknown":
        line.source, line.id, line.time_us = event.source, event.id, event.time_us
    line.reason, line.detail = outcome.reason, outcome.detail
    if outcome.original is not None:
        line.original_offset, line.original_index = outcome.original.offset, outcome.original.event_index
    if entry is not None:
        objects = _encode(line)[1:-1], _encode(entry.dimensions)[1:-1], entry.rated[1:-1]
        return b"{" + b",".join(filter(None, objects)) + b"}"
    return _encode(line)


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
