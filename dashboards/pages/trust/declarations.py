"""What control records and corrections say, as their events on the log have it."""

import json
from collections.abc import Sequence
from typing import Any

from dashboards.sources.log import read_event
from dashboards.sources.versions import list_versions, read_identity
from dashboards.sources.warehouse import Row
from ledger.log import Position

HASH_DIGITS = 64
MAX_HASH_SHOWN = 12


def read_bodies(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Read the data of the event behind each decision; nothing where this home's log does not have it."""
    positions = [_find_position(row) for row in rows]
    missing = [read_identity(row) for row, position in zip(rows, positions, strict=True) if position is None]
    versions = list_versions(missing) if missing else {}
    bodies = []
    for row, position in zip(rows, positions, strict=True):
        lines = versions.get(read_identity(row), [])
        line_position = position or (lines[-1].position if lines else None)
        bodies.append({} if line_position is None else _read_data(line_position))
    return bodies


def describe_body(body: Any) -> str:
    """Describe the fields of a control record: ``month 2026-10``; a document by the start of its hash."""
    if not isinstance(body, dict):
        return ""
    return ", ".join(f"{name.replace('_', ' ')} {_format_value(value)}" for name, value in body.items())


def _find_position(row: Row) -> Position | None:
    """Return the position of the event that caused a decision; None of one that was held, and fell due there."""
    index = row["event_index"]
    return Position(row["log_partition"], row["log_offset"], index) if index >= 0 else None


def _read_data(position: Position) -> dict[str, Any]:
    try:
        data = json.loads(read_event(position) or "{}").get("data")
    except (AttributeError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _format_value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_format_value, value))
    text = str(value)
    is_hash = len(text) == HASH_DIGITS and text.isalnum()
    return f"{text[:MAX_HASH_SHOWN]}…" if is_hash else text
