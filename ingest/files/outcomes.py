"""What became of the events that were appended, read from the topic of the folds."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

import msgspec

from ledger.log import Log, Record, folded, records, seek_cause
from ledger.log.topics import ENTRIES

Progress = Callable[[int, int], None]
"""Is told how much is done, and of how much. It may raise, and so end the work."""

POLL_S = 0.05
SHOWN = 3


class Range(NamedTuple):
    """Offsets of ``tally.events`` in one partition, both included."""

    partition: int
    first: int
    last: int


class Conflict(NamedTuple):
    """An event that was not counted, since another one has its identity: that one's position."""

    source: str
    id: str
    partition: int
    original_offset: int
    original_index: int


@dataclass
class Outcomes:
    """What became of the accepted: they are ``counted + duplicate + conflict + quarantined``."""

    counted: int = 0
    duplicate: int = 0
    conflict: int = 0
    quarantined: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Of the quarantined."""
    conflicts: list[Conflict] = field(default_factory=list)
    """The first of them."""

    def hint(self) -> str | None:
        """What to do about conflicts."""
        if not self.conflict:
            return None
        first = self.conflicts[0]
        return (
            f"{self.conflict:,} events were not counted: the log has others of the same identity (the first "
            f"at {first.partition}:{first.original_offset}:{first.original_index}). The same lines with another --set "
            "or --start are conflicts; so are equal lines of different files, which take a --source each"
        )


class _Line(msgspec.Struct):
    outcome: str
    source: str = ""
    id: str = ""
    reason: str = ""
    original_offset: int = -1
    original_index: int = -1


_decode = msgspec.json.Decoder(_Line).decode


def outcomes_of(log: Log, appended: Sequence[Range], progress: Progress = lambda done, total: None) -> Outcomes:
    """Wait until the folds have passed these records, and sum what became of their events.

    ``progress`` hears of records, several times a second also while nothing moves. Whoever runs the folds
    lets it raise when they have stopped.
    """
    total = sum(last - first + 1 for _, first, last in appended)
    done = 0
    found = Outcomes()
    for partition, first, last in appended:
        offset = first
        while offset <= last:
            progress(done + offset - first, total)
            log.follow()  # the folds of the generation before stop where a new one takes its place
            reached = min(folded(log, partition), last + 1)
            if reached <= offset:
                time.sleep(POLL_S)
                continue
            for record in _caused(log, partition, offset, reached):
                _add(found, record)
            offset = reached
        done += last - first + 1
    progress(done, total)
    return found


def _caused(log: Log, partition: int, first: int, end: int) -> Iterator[Record]:
    found = records(log, ENTRIES, partition, seek_cause(log, ENTRIES, partition, first))
    return takewhile(lambda record: int(record.headers["cause_offset"]) < end, found)


def _add(found: Outcomes, record: Record) -> None:
    for raw in record.value.split(b"\n"):
        line = _decode(raw)
        match line.outcome:
            case "counted":
                found.counted += 1
            case "duplicate":
                found.duplicate += 1
            case "conflict":
                found.conflict += 1
                if len(found.conflicts) < SHOWN:
                    where = (record.partition, line.original_offset, line.original_index)
                    found.conflicts.append(Conflict(line.source, line.id, *where))
            case "quarantined":
                found.quarantined += 1
                found.reasons[line.reason] += 1
