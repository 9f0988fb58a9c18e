"""Outcomes of the events that an import appended, read from the entries."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

import msgspec

from ledger import outcomes
from ledger.log import Log, Position, Record, fold_offset, records, seek_cause
from ledger.log.topics import ENTRIES

Progress = Callable[[int, int], None]
"""Called with the amount done and the total. It may raise to end the work."""

POLL_INTERVAL_S = 0.05
MAX_SHOWN_CONFLICTS, MAX_SHOWN_MODELS = 3, 3


class Range(NamedTuple):
    """Offsets of ``tally.events`` in one partition, both included."""

    partition: int
    first: int
    last: int


class Conflict(NamedTuple):
    """An event that was not counted, and the position of the event that has its identity."""

    source: str
    id: str
    partition: int
    original_offset: int
    original_index: int


@dataclass
class Outcomes:
    """Outcomes of the accepted events: ``accepted = counted + duplicate + conflict + quarantined + held``."""

    counted: int = 0
    duplicate: int = 0
    conflict: int = 0
    quarantined: int = 0
    held: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Reasons of the quarantined."""
    unpriced: Counter[str] = field(default_factory=Counter)
    """Reasons of the counted that have no price, or not for all of their usage."""
    unpriced_models: dict[str, list[str]] = field(default_factory=dict)
    """The first of their models, with the provider before it, by reason."""
    conflicts: list[Conflict] = field(default_factory=list)
    """The first conflicts."""

    def hint(self) -> str | None:
        """Return the cause of conflicts and the way out; None without conflicts."""
        if not self.conflict:
            return None
        first = self.conflicts[0]
        original = Position(first.partition, first.original_offset, first.original_index)
        return (
            f"{self.conflict:,} not counted: the log has other content under the same identity (the first at "
            f"{original}, `tally price explain {original}`). The same lines with another --set, --start or "
            "--mapping are conflicts: to put an earlier import right, use --replace SOURCE. So are equal "
            "lines of different traces: give each a --source. Copies of a session of an agent need nothing: each "
            "answer counts once"
        )


class _Line(msgspec.Struct):
    outcome: str
    source: str = ""
    id: str = ""
    reason: str = ""
    unpriced_reason: str = ""
    provider: str | None = None
    model: str | None = None
    model_resolved: str | None = None
    original_offset: int = -1
    original_index: int = -1


_decode = msgspec.json.Decoder(_Line).decode


def await_outcomes(
    log: Log, appended: Sequence[Range], progress: Progress = lambda done_records, total: None
) -> Outcomes:
    """Wait until the folds have passed these records, and sum what became of their events.

    ``progress`` receives records, several times a second also while nothing moves. A caller that runs the folds lets it
    raise once they have stopped.
    """
    total = sum(last - first + 1 for _, first, last in appended)
    done_records = 0
    outcomes = Outcomes()
    for partition, first, last in appended:
        offset = first
        while offset <= last:
            progress(done_records + offset - first, total)
            log.follow()  # the folds of the generation before stop where a new one takes its place
            fold_end = min(fold_offset(log, partition), last + 1)
            if fold_end <= offset:
                time.sleep(POLL_INTERVAL_S)
                continue
            for record in _read_entries(log, partition, offset, fold_end):
                _count_record(outcomes, record)
            offset = fold_end
        done_records += last - first + 1
    progress(done_records, total)
    return outcomes


def _read_entries(log: Log, partition: int, first: int, end: int) -> Iterator[Record]:
    entries = records(log, ENTRIES, partition, seek_cause(log, ENTRIES, partition, first))
    return takewhile(lambda record: record.cause_offset < end, entries)


def _count_record(totals: Outcomes, record: Record) -> None:
    for raw in record.value.split(b"\n"):
        line = _decode(raw)
        match line.outcome:
            case outcomes.COUNTED:
                totals.counted += 1
                if line.unpriced_reason:
                    totals.unpriced[line.unpriced_reason] += 1
                    _add_model(totals.unpriced_models.setdefault(line.unpriced_reason, []), line)
            case outcomes.DUPLICATE:
                totals.duplicate += 1
            case outcomes.CONFLICT:
                totals.conflict += 1
                if len(totals.conflicts) < MAX_SHOWN_CONFLICTS:
                    position = (record.partition, line.original_offset, line.original_index)
                    totals.conflicts.append(Conflict(line.source, line.id, *position))
            case outcomes.QUARANTINED:
                totals.quarantined += 1
                totals.reasons[line.reason] += 1
            case outcomes.HELD:
                totals.held += 1


def _add_model(models: list[str], line: _Line) -> None:
    """Add the model of a line to the first ones that are shown, once."""
    model = "/".join(filter(None, (line.provider, line.model_resolved or line.model)))
    if model and model not in models and len(models) < MAX_SHOWN_MODELS:
        models.append(model)
