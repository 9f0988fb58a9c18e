"""Read the lines of derived topics that one record of the log causes, and the line that a position means."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ledger import outcomes
from ledger.log import Log, Position, Record, records, seek_cause
from ledger.log.topics import ENTRIES, EVENTS, Topic
from streams.folds.event import Event, parse_line

FIRST_DUE_INDEX = 1 << 31
"""The index that ``tally.entries`` writes of the first event that fell due with a record."""
OF_EVENTS = (*outcomes.OUTCOMES, outcomes.RELEASE)
"""Outcomes of lines at whose position an event stands, or fell due."""
Facts = dict[str, Any]
_decode = msgspec.json.Decoder().decode


def read_caused_lines(log: Log, topic: Topic, partition: int, offset: int) -> Iterator[Facts]:
    """Yield the lines of a derived topic that the record at an offset of ``tally.events`` causes, in order."""
    for record in records(log, topic, partition, seek_cause(log, topic, partition, offset)):
        if record.cause_offset > offset:
            return
        yield from map(_decode, record.value.split(b"\n"))


def find_event_line(log: Log, position: Position) -> Facts | None:
    """Find the line of ``tally.entries`` about the event at a position, or that fell due there; None where no event
    stands there, or the folds have not reached it."""
    lines = read_caused_lines(log, ENTRIES, position.partition, position.offset)
    matches = (line for line in lines if line.get("event_index") == position.event_index)
    return next((line for line in matches if line["outcome"] in OF_EVENTS), None)


def find_recorded_position(log: Log, position: Position) -> Position | None:
    """Return the position on ``tally.events`` of an event: its own, or where it was held that of its line."""
    if position.event_index < FIRST_DUE_INDEX:
        return position
    release = find_event_line(log, position)
    if release is None:
        return None
    return Position(position.partition, release["original_offset"], release["original_index"])


def find_record(log: Log, topic: Topic, partition: int, offset: int) -> Record | None:
    """Return the record at an offset; None where there is none."""
    candidates = log.read(topic, partition, offset, max_bytes=1)
    return candidates[0] if candidates and candidates[0].offset == offset else None


def find_event(log: Log, position: Position) -> Event | None:
    """Return the event at a position, or that fell due there; None where there is none."""
    recorded = find_recorded_position(log, position)
    record = None if recorded is None else find_record(log, EVENTS, recorded.partition, recorded.offset)
    lines = [] if record is None else record.value.split(b"\n")
    if recorded is None or record is None or recorded.event_index >= len(lines):
        return None
    return parse_line(recorded.event_index, lines[recorded.event_index], record.organization)


def read_position(line: Mapping[str, Any]) -> Position:
    """Read the position at which a line stands."""
    return Position(line["partition"], line["offset"], line["event_index"])


def read_original_position(line: Mapping[str, Any]) -> Position:
    """Read the position that a line names."""
    return Position(line["partition"], line["original_offset"], line["original_index"])
