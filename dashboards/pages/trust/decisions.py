"""What the folds and people decided, as simple tables: alerts, thresholds of budgets, controls."""

import streamlit as st

from dashboards.components.format import money
from dashboards.components.html import Column, Html, link, moment, table
from dashboards.components.links import identity
from dashboards.pages.trust import queries
from dashboards.periods import length
from dashboards.sources.warehouse import Row


def alerts() -> None:
    """Runaway alerts, the newest first, each as it stands now."""
    st.subheader("Runaway alerts", anchor="alerts")
    rows = queries.alerts()
    if not rows:
        st.caption("None.")
        return
    columns = [
        Column("Raised, UTC"), Column("State"), Column("Session"), Column("Agent", "wide"),
        Column("Repeated", "wide"), Column("Times", "right"),
    ]  # fmt: skip
    table(
        columns,
        (
            (
                link(moment(row["raised_at"]), "runaways", {"alert": row["alert_id"]}),
                row["state_now"],
                row["of_session"],
                row["of_agent"] or None,
                row["of_tool"] or None,
                int(row["times"]),
            )
            for row in rows
        ),
    )


def thresholds() -> None:
    """Budgets whose spend crossed a threshold, or fell below it again."""
    st.subheader("Budget crossings", anchor="budgets")
    rows = queries.decisions(controls=False)
    if not rows:
        st.caption("None.")
        return
    columns = [
        Column("Accepted, UTC"), Column("Budget of"), Column("Threshold"), Column("Used", "right"),
        Column("Limit", "right"), Column("Window", "wide"),
    ]  # fmt: skip
    table(columns, (_threshold(row) for row in rows))


def _threshold(row: Row) -> tuple[str | None, ...]:
    currency = row["currency"] or ""
    return (
        _when(row),
        link(f"{row['dimension']} {row['scope_value']}", "budgets", identity(row).link()),
        f"{row['threshold_percent']}% {row['decision'].removeprefix('threshold.')}",
        money(row["used_amount"], currency),
        money(row["limit_amount"], currency),
        length(int(row["window_s"] or 0)),
    )


def _when(row: Row) -> Html:
    """When it was decided: a link to the event that caused it, where there is one."""
    time = moment(row["accepted_at"])
    identity = {"source": row["event_source"], "id": row["event_id"], "organization": row["organization"]}
    return link(time, "call", identity) if row["event_id"] else time


def controls() -> None:
    """What people decided, and what came of it."""
    st.subheader("Controls", anchor="controls")
    rows = queries.decisions(controls=True)
    if not rows:
        st.caption("None.")
        return
    columns = [
        Column("Accepted, UTC"), Column("Control"), Column("Effect"), Column("Organization", "wide"),
        Column("About", "wrap"),
    ]  # fmt: skip
    table(
        columns,
        (
            (
                _when(row),
                row["control_type"],
                row["decision"].removeprefix("control."),
                row["organization"],
                _about(row),
            )
            for row in rows
        ),
    )


def _about(row: Row) -> str | None:
    if row["reason"]:
        return str(row["reason"])
    if not row["dimension"]:
        return None
    limit = money(row["limit_amount"], row["currency"] or "")
    return f"{row['dimension']} {row['scope_value']}: {limit} over {length(int(row['window_s'] or 0))}"
