"""What the app reads from the log itself: a record as it stands, and how far the folds have come."""

import json
from typing import Any, NamedTuple

import streamlit as st

from dashboards.sources.warehouse import home
from ledger.errors import TallyError
from ledger.log import PARTITIONS, Log, Position, Record, folded
from ledger.log.open import open_log
from ledger.log.topics import EVENTS
from ledger.settings import Settings


class Reach(NamedTuple):
    """How many records a partition of ``tally.events`` has, and how many of them are folded."""

    partition: int
    recorded: int
    folded: int
    last_ms: int


@st.cache_resource(show_spinner=False)
def _log(settings: str) -> Log:
    return open_log(Settings())


def log() -> Log | None:
    """The log of the product that is looked at; None where it has none."""
    try:
        held = _log(Settings().model_dump_json())
        held.follow()
        return held
    except TallyError:
        return None


def record(position: Position) -> Record | None:
    """The record that holds this event; None where the log has none there."""
    held = log()
    found = held.read(EVENTS, position.partition, position.offset, max_bytes=1) if held else []
    return found[0] if found and found[0].offset == position.offset else None


def event(position: Position) -> str | None:
    """One event as it stands on the log, byte for byte; None where the log has none there."""
    found = record(position)
    lines = found.value.split(b"\n") if found else []
    return lines[position.event_index].decode(errors="replace") if position.event_index < len(lines) else None


def reaches() -> list[Reach]:
    """The partitions that hold anything."""
    held = log()
    if held is None:
        return []
    newest = (held.last(EVENTS, partition) for partition in range(PARTITIONS))
    return [Reach(one.partition, one.offset + 1, folded(held, one.partition), one.time_ms) for one in newest if one]


def consumer(name: str) -> dict[str, Any] | None:
    """What a consumer of the log left about itself; None where it never ran."""
    try:
        said: dict[str, Any] = json.loads((home() / "consumers" / f"{name}.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return said
