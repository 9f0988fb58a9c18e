"""Checksums of rows that the topics hold and the log alone does not tell: decisions, alerts, and details of events.

Their columns are read from the tables' definitions, so a new column is compared from its first day on.
"""

from collections.abc import Mapping
from typing import Any

from audit.verify import row_checksums
from audit.verify.totals import Totals
from ledger import dimensions

_TIMES_US = {"window_end": "window_end_us", "due_at": "due_us", "effective_at": "effective_us", "known_at": "known_us",
             "since": "since_us", "last": "last_us"}  # fmt: skip
"""Columns of moments, and the fields of the lines that they are made of."""
_EVIDENCE = ("source", "id", "partition", "offset", "event_index")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "events": ("partition", "offset", "seq", "detail", "observation"),
    "decisions": (
        "partition", "offset", "seq", "event_index", "accepted_ms", "organization", "decision", "control_type",
        "reason", "dimension", "scope", "window_s", "limit", "currency", "threshold", "thresholds", "past", "used",
        "unknown_usage", "assumed", "unknown_calls", "unknown_tokens", "unbounded_calls", "window_end", "due_at",
        "event_source", "event_id", "effective_at", "known_at", "body",
    ),
    "alerts": (
        "partition", "offset", "seq", "event_index", "accepted_ms", "organization", "alert", "state", "severity",
        "detector", "families", "session", "agent", "team", "tool", "arguments_hash", "result_hash", "calls", "repeats",
        "spent", "per_hour", "projected", "since", "last", "due_at", "reason", "past", "evidence",
    ),
}  # fmt: skip
"""The columns that are compared. ``accepted_ms`` is that of ``accepted_at``; a test compares the list with the
tables."""
_EVENT_PARTS = "seq, detail and observation"
NAMES = {"events": f"'{_EVENT_PARTS}'", "decisions": "decision", "alerts": "state"}
"""The name by which the rows of a table are counted: a column, or a text of SQL that all rows have."""
_AMOUNTS = frozenset({"limit", "used", "assumed"})
_SUMS = frozenset({"spent", "per_hour", "projected"})  # by currency
_NUMBERS = frozenset(
    {"window_s", "threshold", "past", "unknown_calls", "unknown_tokens", "unbounded_calls", "calls", "repeats"}
)  # zero where a line has none


def add_line(totals: Totals, table: str, fields: Mapping[str, Any]) -> None:
    """Add a line of a topic."""
    name = _EVENT_PARTS if table == "events" else fields[NAMES[table]]
    text = row_checksums.write_columns(_write_value(column, fields) for column in COLUMNS[table])
    totals.add_derived(table, fields["organization"], name, row_checksums.hash_text(text))


def _write_value(column: str, fields: Mapping[str, Any]) -> Any:
    value = fields.get(_TIMES_US.get(column, column))
    if column in _AMOUNTS:
        return row_checksums.write_amount(value)
    if column in _SUMS:
        return ",".join(sorted(f"{key}={row_checksums.write_amount(amount)}" for key, amount in (value or {}).items()))
    if column == "evidence":
        return ",".join("|".join(str(event[name]) for name in _EVIDENCE) for event in value or ())
    if column in ("thresholds", "families"):
        return ",".join(map(str, value or ()))
    return int(value or 0) if column in _NUMBERS else value


def build_sql(table: str) -> str:
    """Return SQL that sums the checksums of a table's rows."""
    return row_checksums.build_checksum_sql(_column_sql(column) for column in COLUMNS[table])


def _column_sql(column: str) -> str:
    if column == "accepted_ms":
        return "toString(toUnixTimestamp64Milli(accepted_at))"
    if column in _TIMES_US:
        return row_checksums.text_sql(f"toUnixTimestamp64Micro({column})")
    if column in _SUMS:
        return (
            "arrayStringConcat(arraySort(arrayMap((k, v) -> concat(k, '=', toDecimalString(v, 12)), "
            f"mapKeys({column}), mapValues({column}))), ',')"
        )
    if column == "evidence":
        parts = ", '|', ".join(f"toString(e.{name})" for name in _EVIDENCE)
        return f"arrayStringConcat(arrayMap(e -> concat({parts}), evidence), ',')"
    if column in ("thresholds", "families"):
        return f"arrayStringConcat(arrayMap(item -> toString(item), {column}), ',')"
    return row_checksums.text_sql(f"`{column}`", dimensions.AMOUNT if column in _AMOUNTS else "String")
