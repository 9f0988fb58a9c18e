"""Reads from the log itself: records, events and the progress of the folds."""

import json
from typing import Any, NamedTuple

import streamlit as st

from dashboards.sources.warehouse import home
from ledger.errors import TallyError
from ledger.log import PARTITIONS, Log, Position, Record, fold_offset
from ledger.log.open import open_log
from ledger.log.topics import EVENTS
from ledger.settings import Settings


class PartitionProgress(NamedTuple):
    """A partition of ``tally.events``: how many records it has, and how many are folded."""

    partition: int
    recorded: int
    folded: int
    last_ms: int


@st.cache_resource(show_spinner=False)
def _open_log(settings: str) -> Log:
    return open_log(Settings())


def open_home_log() -> Log | None:
    """Open the home's log; None where it has none."""
    try:
        log = _open_log(Settings().model_dump_json())
        log.follow()
        return log
    except TallyError:
        return None


def read_record(position: Position) -> Record | None:
    """Return the record at a position; None where the log has none there."""
    log = open_home_log()
    records = log.read(EVENTS, position.partition, position.offset, max_bytes=1) if log else []
    return records[0] if records and records[0].offset == position.offset else None


def read_event(position: Position) -> str | None:
    """Return the recorded text of an event; None where the log has none there."""
    record = read_record(position)
    lines = record.value.split(b"\n") if record else []
    return lines[position.event_index].decode(errors="replace") if position.event_index < len(lines) else None


def list_progress() -> list[PartitionProgress]:
    """List the progress of the partitions that hold records."""
    log = open_home_log()
    if log is None:
        return []
    newest_records = (log.last(EVENTS, partition) for partition in range(PARTITIONS))
    return [
        PartitionProgress(record.partition, record.offset + 1, fold_offset(log, record.partition), record.time_ms)
        for record in newest_records
        if record
    ]


def read_consumer(name: str) -> dict[str, Any] | None:
    """Read the report of a consumer of the log; None where it never ran."""
    try:
        report: dict[str, Any] = json.loads((home() / "consumers" / f"{name}.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return report
