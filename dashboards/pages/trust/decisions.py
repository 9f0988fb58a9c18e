"""Tables of decisions: runaway alerts, budget thresholds and control records."""

from typing import Any

from dashboards.components import pager
from dashboards.components.format import money
from dashboards.components.html import (
    MAX_NOTE,
    Column,
    Html,
    add_narrow_line,
    draw_table,
    escape_text,
    format_time,
    link,
    named,
)
from dashboards.components.links import read_budget_identity
from dashboards.pages.trust import declarations, queries
from dashboards.periods import format_window
from dashboards.sources.warehouse import Row

MAX_ROWS = 10


def draw_alerts() -> None:
    """Draw runaway alerts in their current state, the newest first."""
    pager.show_table("alerts", "Runaway alerts", queries.list_alerts, _draw_alert_rows, "None.", size=MAX_ROWS)


def _draw_alert_rows(rows: list[Row]) -> None:
    columns = [
        Column("Raised, UTC"), Column("State"), Column("Session", "wrap"), Column("Agent", "wide"),
        Column("Tool", "wide"), Column("Repeats", "right"),
    ]  # fmt: skip
    draw_table(
        columns,
        (
            (
                link(format_time(row["raised_at"]), "incidents", {"episode": row["alert_id"]}),
                row["state_now"],
                row["of_session"],
                row["of_agent"] or None,
                row["of_tool"] or None,
                int(row["times"]),
            )
            for row in rows
        ),
    )


def draw_thresholds() -> None:
    """Draw the thresholds that budgets crossed, or fell below again."""
    pager.show_table(
        "budgets", "Budget crossings", lambda rows: queries.list_decisions(False, rows), _draw_threshold_rows, "None.",
        size=MAX_ROWS,
    )  # fmt: skip


def _draw_threshold_rows(rows: list[Row]) -> None:
    columns = [
        Column("Accepted, UTC"), Column("Budget", "wrap"), Column("Threshold"), Column("Used", "right wide"),
        Column("Limit", "right wide"), Column("Window", "wide"),
    ]  # fmt: skip
    draw_table(columns, (_build_threshold_cells(row) for row in rows))


def _build_threshold_cells(row: Row) -> tuple[str | None, ...]:
    currency = row["currency"] or ""
    return (
        _link_time(row),
        link(f"{row['dimension']} {row['scope_value']}", "budgets", read_budget_identity(row).to_parameters()),
        _describe_step(row),
        money(row["used_amount"], currency),
        money(row["limit_amount"], currency),
        format_window(int(row["window_s"] or 0)),
    )


def _describe_step(row: Row) -> str:
    if row["threshold_percent"]:
        percents = ", ".join(f"{percent}%" for percent in row["threshold_percents"])
        return f"{percents} {row['decision'].removeprefix('threshold.')}{' in the past' if row['is_past'] else ''}"
    return f"unknown usage {row['decision'].removeprefix('unknown_usage.')}"


def _link_time(row: Row) -> Html:
    """Return the time of a decision, as a link to the event that caused it where there is one."""
    time_cell = format_time(row["accepted_at"])
    parameters = {"source": row["event_source"], "id": row["event_id"], "organization": row["organization"]}
    return link(time_cell, "call", parameters) if row["event_id"] else time_cell


def draw_controls() -> None:
    """Draw control records and corrections with their effects: what each declares, or why it has none."""
    pager.show_table(
        "controls", "Controls", lambda rows: queries.list_decisions(True, rows), _draw_control_rows, "None.",
        size=MAX_ROWS,
    )  # fmt: skip


def _draw_control_rows(rows: list[Row]) -> None:
    columns = [
        Column("Accepted, UTC"), Column("Control"), Column("Effect", "wide"), Column("Organization", "wide"),
        Column("Details", "wrap"),
    ]  # fmt: skip
    bodies = declarations.read_bodies(rows)
    draw_table(
        columns,
        (
            (
                _link_time(row),
                add_narrow_line(named(row["control_type"] or "correction"), _name_effect(row)),
                _name_effect(row),
                row["organization"],
                _describe_control(row, data),
            )
            for row, data in zip(rows, bodies, strict=True)
        ),
    )


def _name_effect(row: Row) -> str:
    return str(row["decision"].partition(".")[2])


def _describe_control(row: Row, data: dict[str, Any]) -> str | Html | None:
    """Describe what a record declares and why it has no effect; of a correction the event that it names."""
    target = data.get("of")
    if isinstance(target, dict):
        parameters = {"source": target.get("source"), "id": target.get("id"), "organization": row["organization"]}
        event = link(f"{target.get('source')}/{target.get('id')}", "call", parameters)
        return Html(f"{escape_text(str(data.get('action')))} of {event}: {escape_text(row['reason'], MAX_NOTE)}")
    if row["dimension"] and row["limit_amount"] is not None:
        limit = money(row["limit_amount"], row["currency"] or "")
        budget = f"{row['dimension']} {row['scope_value']}: {limit} over {format_window(int(row['window_s'] or 0))}"
        return "; ".join(filter(None, (budget, row["reason"])))
    return "; ".join(filter(None, (declarations.describe_body(data.get("body")), row["reason"]))) or None
