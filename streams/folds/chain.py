"""The chain of folds: one record of the log, and everything that follows from it.

Identity first, then rating, then the folds that are given the entry. A new fold is a line in ``FOLDS``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from ledger.errors import LogDamaged, TallyError
from ledger.log import Record
from ledger.log.topics import ALERTS, DECISIONS, ENTRIES, Topic
from streams.folds import budgets, rating
from streams.folds.emit import Emit
from streams.folds.entry import Documents, Entry
from streams.folds.event import FACTS, Event, Parsed
from streams.folds.identity import Identities, Outcome, find_quarantine_reason, take_identity
from streams.folds.runaways import repeated_tool
from streams.folds.state import Key, State

NOW = ("chain", "now")
RELAYED = ("chain", "relayed")


class Fold(NamedTuple):
    """A fold that follows the entries: what it does with one, and with what fell due."""

    name: str
    entry: Callable[[Event, Entry, State, Emit], None]
    due: Callable[[Key, int, State, Emit], None]


FOLDS = (
    Fold(budgets.NAME, budgets.add_spend, budgets.rearm_when_due),
    Fold(repeated_tool.NAME, repeated_tool.watch_entry, repeated_tool.end_silent_run),
)
DUE = {fold_record.name: fold_record.due for fold_record in FOLDS}


class _Line(msgspec.Struct, omit_defaults=True, gc=False):
    """What ``tally.entries`` says of an event, before what it says of its cost."""

    partition: int
    offset: int
    seq: int
    accepted_ms: int
    organization: str
    index: int
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


def fold_record(parsed: Parsed, rows: State, known: Identities, documents: Documents) -> Derived:
    """What one record causes, for each derived topic; ``rows`` and ``known`` move on with it."""
    record, events = parsed
    now_ms = max(rows.get(NOW) or 0, record.time_ms)
    rows.put(NOW, now_ms)
    emit = Emit(record, now_ms)
    for at_us, key in rows.fell_due(emit.now_us):
        DUE[str(key[0])](key, at_us, rows, emit)
    relayed = _is_relay(record, rows)
    lines: list[bytes] = []
    for event in events:
        emit.event_index = event.event_index
        outcome, entry = _one(event, record.offset, rows, known, documents, emit)
        if not relayed:
            lines.append(_line(record, event, outcome, entry))
    facts = 0 if relayed else sum(event.kind in FACTS for event in events)
    lines.append(_encode(_record_line(record, facts, len(lines))))
    decisions, alerts = map(_encode, emit.decisions), map(_encode, emit.alerts)
    return _derived(record, {ENTRIES: lines, DECISIONS: list(decisions), ALERTS: list(alerts)})


def _one(
    event: Event, offset: int, rows: State, known: Identities, documents: Documents, emit: Emit
) -> tuple[Outcome, Entry | None]:
    outcome = take_identity(event, offset, known)
    if outcome.outcome != "counted":
        return outcome, None
    rows.begin()
    said = len(emit.decisions), len(emit.alerts)
    try:
        doubted = find_quarantine_reason(event, emit.now_us)
        return (doubted, None) if doubted else (outcome, _follow(event, rows, documents, emit))
    except (TallyError, MemoryError):
        raise  # not the record's fault: the partition stops
    except Exception as error:  # noqa: BLE001  (whatever the pure chain raises, the log goes on)
        rows.undo()
        del emit.decisions[said[0] :], emit.alerts[said[1] :]
        return Outcome("quarantined", "processing_error", f"{type(error).__name__}: {error}"[:200]), None


def _follow(event: Event, rows: State, documents: Documents, emit: Emit) -> Entry | None:
    if event.call is not None:
        entry = rating.rate_call(event, event.call, rows, documents)
        for one in FOLDS:
            one.entry(event, entry, rows, emit)
        return entry
    if event.kind == "control":
        match event.data["control"]:
            case "price_book.adopted":
                rating.adopt_price_book(event, rows, documents, emit)
            case "budget.allocated":
                budgets.set_limit(event, rows, emit)
    return None


def _is_relay(record: Record, rows: State) -> bool:
    """Whether the record is the copy of one that concerns everyone. It must follow the one before it, or be a
    repeat, whose event is a duplicate."""
    after = record.headers.get("relay_after")
    if after is None:
        return False
    of = record.headers.get("relay_of")
    last = rows.get(RELAYED) or ""
    if of is not None and _place(of) <= _place(last):
        return True
    if after != last:
        raise LogDamaged(
            f"partition {record.partition}, offset {record.offset} relays what follows {after or 'nothing'!r}, "
            f"but the last that was relayed here is {last or 'nothing'!r}: restore the log from a copy"
        )
    rows.put(RELAYED, of or f"{record.partition}:{record.offset}")
    return of is not None


def _place(relayed: str) -> int:
    """Where an original stands in its partition."""
    return int(relayed.rpartition(":")[2] or -1)


def _line(record: Record, event: Event, outcome: Outcome, entry: Entry | None) -> bytes:
    """One object: what became of the event, then an entry's dimensions, then what it cost."""
    line = _Line(
        record.partition, record.offset, event.event_index + 1, record.time_ms, event.organization, event.event_index, outcome.outcome,
        event.kind,
    )  # fmt: skip
    if event.kind != "unknown":
        line.source, line.id, line.time_us = event.source, event.id, event.time_us
    if entry is not None:
        parts = _encode(line)[1:-1], _encode(entry.dimensions)[1:-1], entry.rated[1:-1]
        return b"{" + b",".join(filter(None, parts)) + b"}"
    line.reason, line.detail = outcome.reason, outcome.detail
    if outcome.of is not None:
        line.original_offset, line.original_index = outcome.of.offset, outcome.of.event_index
    return _encode(line)


def _record_line(record: Record, facts: int, before: int) -> dict[str, Any]:
    refused = int(record.headers.get("refused", "0"))
    return {
        "partition": record.partition,
        "offset": record.offset,
        "seq": before + 1,
        "accepted_ms": record.time_ms,
        "organization": record.organization,
        "outcome": "record",
        "received": facts + refused,
        "refused": refused,
        "channel": record.headers.get("channel", ""),
    }


def _derived(record: Record, said: dict[Topic, list[bytes]]) -> Derived:
    """A record for each topic that has something to say. Its own offset is given when it is stored."""
    headers = {
        "organization": record.organization,
        "cause_partition": str(record.partition),
        "cause_offset": str(record.offset),
        "cause_hash": record.digest(),
    }
    return [
        (
            topic,
            Record(record.partition, -1, record.time_ms, record.key, headers, b"\n".join(lines)),
        )
        for topic, lines in said.items()
        if lines
    ]
