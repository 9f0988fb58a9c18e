"""Anomalies of an organization as the warehouse finds them, and what explains them, in words."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

Row = Mapping[str, Any]
CAUSES = 6
"""Causes that a text names at most."""
_EFFECTS = {
    "volume": "the number of calls",
    "mix": "the choice of models",
    "length": "tokens a call",
    "price": "cost a token",
}


class Kind(NamedTuple):
    """A kind of anomaly: the query that finds them, oldest first, and what is said of one."""

    sql: str
    describe: Callable[[Row], str]


def list_anomalies(client: Client, kinds: Sequence[str], organization: str) -> list[dict[str, Any]]:
    """Return the anomalies of these kinds, oldest first, each with its kind and a text."""
    found: list[dict[str, Any]] = []
    for kind in kinds:
        rows = list(client.query(KINDS[kind].sql, parameters={"organization": organization}).named_results())
        found += [{"kind": kind, **_write_values(row), "text": KINDS[kind].describe(row)} for row in rows]
    return sorted(found, key=lambda anomaly: str(anomaly["detected_at"]))


def _describe_spend(row: Row) -> str:
    """Describe an anomaly of spend: ``team search spent 120.00 USD, 40.00 expected; explained by …``."""
    days = f"on {row['began_day']:%F}"
    if row["ended_day"] != row["began_day"]:
        days = f"from {row['began_day']:%F} to {row['ended_day']:%F}"
    text = f"{row['dimension']} {row['scope_value']} spent {row['cost']:.2f} {row['currency']} {days}"
    text += f", {row['expected_cost']:.2f} expected"
    causes = [
        f"{_EFFECTS[value] if breakdown == 'effect' else f'{breakdown} {value}'} {share:.0%}"
        for breakdown, value, share in row["causes"]
        if value
    ]
    return f"{text}; explained by {', '.join(causes)}" if causes else text


def _describe_silence(row: Row) -> str:
    end = f"until {row['restored_at']:%F %H:%M}" if row["restored_at"] else "and is still silent"
    missed = f"{row['missed_hours']:.1f} hours in which it is expected"
    return f"{row['dimension']} {row['scope_value']} sent nothing from {row['silent_since']:%F %H:%M} {end}: {missed}"


def _describe_saturation(row: Row) -> str:
    name = "/".join(filter(None, (row["provider"], row["model"])))
    end = f"until {row['ended_at']:%F %H:%M}" if row["ended_at"] else "and goes on"
    refused = f"{row['refused_calls']:,} of {row['calls']:,} calls"
    return f"{name} refused {refused} for load, from {row['began_at']:%F %H:%M} {end}"


def _write_values(row: Row) -> dict[str, Any]:
    """Write times as texts with their zone, and amounts with all their digits."""
    values: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, datetime):
            values[name] = value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
        elif isinstance(value, date):
            values[name] = value.isoformat()
        elif name == "causes":
            values[name] = [dict(zip(("breakdown", "value", "share"), cause, strict=True)) for cause in value]
        else:
            values[name] = value if isinstance(value, (str, int, float, type(None))) else f"{value:f}"
    return values


KINDS: Mapping[str, Kind] = {
    "spend": Kind(
        "SELECT anomalies.*, causes.causes AS causes FROM analytics.fct_spend_anomalies AS anomalies LEFT JOIN ("
        " SELECT anomaly_id, arraySlice(arraySort(cause -> -tupleElement(cause, 3), groupArrayIf("
        f" (breakdown, value, explained_share), explained_share >= 0.2)), 1, {CAUSES}) AS causes"
        " FROM analytics.fct_spend_anomaly_causes WHERE organization = {organization:String} GROUP BY anomaly_id"
        ") AS causes ON anomalies.anomaly_id = causes.anomaly_id WHERE organization = {organization:String}",
        _describe_spend,
    ),
    "silence": Kind(
        "SELECT * FROM analytics.fct_silent_sources WHERE organization = {organization:String}", _describe_silence
    ),
    "saturation": Kind(
        "SELECT * FROM analytics.fct_saturations WHERE organization = {organization:String}", _describe_saturation
    ),
}
