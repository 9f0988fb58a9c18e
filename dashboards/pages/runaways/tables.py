"""Tables of runaways: agents that learn nothing new, and the calls of one run."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from dashboards.components.format import exact, money
from dashboards.components.html import Cell, Column, draw_table, format_time, link, with_hint
from dashboards.periods import format_duration
from dashboards.sources.warehouse import Row
from dashboards.spelling import spell
from ledger.detectors import spell_detector

END_REASONS = {"new results": "had new results", "silent": "stopped calling"}


def draw_sessions(rows: Iterable[Row]) -> None:
    """Draw the alerts, each with a link to its own view."""
    columns = [
        Column("Latest call, UTC"), Column("Agent"), Column("Team", "wide"), Column("Tool", "wide"),
        Column("Repeats", "right"), Column("Cost", "right"), Column("Burn rate per hour", "right wide"),
        Column("Duration", "wide"), Column("State", "wide"),
    ]  # fmt: skip
    draw_table(columns, (_build_session_cells(row) for row in rows))


def _build_session_cells(row: Row) -> tuple[Cell, ...]:
    return (
        link(format_time(row["last_at"]), "runaways", {"alert": row["alert_id"]}, f"session {row['session']}"),
        row["agent"] or None,
        row["team"] or None,
        row["tool"] or spell_detector(row["detector"]),
        int(row["repeats"]),
        with_hint(*format_sums(row["spent"])),
        with_hint(*format_sums(hourly_cost)) if (hourly_cost := compute_hourly_cost(row)) else None,
        format_duration(row["last_at"] - row["started_at"]),
        describe_state(row),
    )


def draw_agents(rows: Iterable[Row]) -> None:
    """Draw the agents with runaways, with links to their spend on the overview."""
    columns = [
        Column("Agent"), Column("Team", "wide"), Column("Alerts", "right"), Column("Active", "right"),
        Column("Calls", "right wide"), Column("Cost", "right"), Column("Latest call, UTC", "wide"),
    ]  # fmt: skip
    draw_table(columns, (_build_agent_cells(row) for row in rows))


def _build_agent_cells(row: Row) -> tuple[Cell, ...]:
    return (
        link(row["agent"], "overview", {"period": "all", "agent": spell(row["agent"])}) if row["agent"] else None,
        row["team"] or None,
        int(row["alerts"]),
        int(row["going_on"]),
        int(row["calls"]),
        with_hint(*format_sums(row["spent"])),
        format_time(row["last_at"]),
    )


def draw_calls(rows: Iterable[Row]) -> None:
    """Draw the calls of a run, each with a link to its page."""
    columns = [
        Column("Time, UTC"), Column("Repeat", "right"), Column("Tool"), Column("Model", "wide"),
        Column("Status", "wide"), Column("Tokens", "right"), Column("List cost", "right"),
    ]  # fmt: skip
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        position = f"{row['log_partition']}-{row['log_offset']}-{row['event_index']}"
        cost, currency = row["list_cost"], row["currency"] or ""
        cells.append(
            (
                link(format_time(row["occurred_at"]), "call", {"position": position}, position),
                int(row["repeats_so_far"]) if row["is_repeat"] else None,
                row["tool"] or None,
                row["model"] or None,
                row["status"] or None,
                row["tokens"],
                None if row["pricing"] == "free" else with_hint(money(cost, currency), exact(cost, currency)),
            )
        )
    draw_table(columns, cells)


def describe_state(row: Row) -> str:
    """Describe when the last call of an active run was received, or what ended the run."""
    if row["is_open"]:
        return f"last call received {format_duration(datetime.now(UTC) - row['last_accepted_at'])} ago"
    return END_REASONS.get(row["reason"], str(row["reason"]))


def format_sums(amounts: Mapping[str, Decimal]) -> tuple[str, str]:
    """Format costs, each currency by itself: shortened, and with all digits."""
    if not amounts:
        return "unpriced", "none of its calls has a price"
    pairs = [(amount, currency) for currency, amount in sorted(amounts.items())]
    return " + ".join(money(*pair) for pair in pairs), " + ".join(exact(*pair) for pair in pairs)


def compute_hourly_cost(row: Row) -> Mapping[str, Decimal] | None:
    """Return the cost per hour at the run's own pace, by currency; None for a run shorter than a second."""
    seconds = (row["last_at"] - row["started_at"]) // timedelta(seconds=1)
    return {currency: amount * 3600 / seconds for currency, amount in row["spent"].items()} if seconds else None
