"""A budget: its limit, spend over the window, forecast and threshold crossings."""

import streamlit as st

from dashboards.components import charts, pager
from dashboards.components.format import exact, money
from dashboards.components.html import draw_facts, draw_heading, draw_live_line, format_time, link
from dashboards.components.links import BudgetIdentity
from dashboards.pages.budgets import queries, tables
from dashboards.periods import Span, format_window
from dashboards.sources import usage
from dashboards.sources.warehouse import Row
from dashboards.spelling import spell

MAX_CROSSINGS = 20


def show(identity: BudgetIdentity) -> None:
    """Show a budget by its identity."""
    row = queries.find_budget(identity)
    if row is None:
        st.info("No such budget. It may not have arrived yet, or the link is incomplete.")
        st.html(f'<div class="tally">{link("All budgets", "budgets", {})}</div>')
        return
    currency = row["currency"]
    draw_heading(tables.name_budget(row))
    with st.container(horizontal=True, key="headline"):
        for label, amount in (("Used", "used_amount"), ("Remaining", "remaining_amount"), ("Limit", "limit_amount")):
            st.metric(label, money(row[amount], currency), border=True, help=exact(row[amount], currency))
        if row["window_ends_at"] is not None:
            rate = row["burn_per_hour"]
            st.metric("Burn rate per hour", money(rate, currency), border=True, help=exact(rate, currency))
    draw_facts([
        ("Utilization", tables.build_share_bar(row)),
        ("Forecast", tables.describe_outlook(row)),
        ("Cost not known", tables.describe_unknown(row) if row["unknown_calls"] else None),
        ("Warning", f"When the limit was set, {row['warning']}." if row["warning"] else None),
        ("Threshold crossed", tables.build_threshold_cell(row) or "none"),
    ])  # fmt: skip
    if row["window_ends_at"] is None:
        st.caption("No spend in this scope since the budget was set.")
    else:
        st.subheader("Spend over the window", anchor=False)
        st.caption(tables.describe_moment(row))
        window = Span(row["window_starts_at"], row["window_ends_at"])
        charts.draw_buckets(row["spend_by_bucket"], window, int(row["bucket_s"]), currency)
    _show_details(row, identity)
    show_crossings(identity, with_organization=False)
    st.html(f'<div class="tally">{link("All budgets", "budgets", {})}{_link_calls(identity)}</div>')
    draw_live_line()


def _show_details(row: Row, identity: BudgetIdentity) -> None:
    start, end, clock_time, last_spend_time = (
        row[f"{name}_at"] for name in ("window_starts", "window_ends", "clock", "last_spent")
    )
    granularity = (
        f"{format_window(int(row['bucket_s']))}; the oldest of 61 lies only partly in the window and counts whole"
    )
    with st.expander("Window details"):
        draw_facts([
            ("Window", f"{start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC" if end else None),
            ("Bucket length", granularity),
            ("As of", f"{clock_time:%Y-%m-%d %H:%M:%S} UTC, the log's time" if clock_time else None),
            ("Latest spend", f"{last_spend_time:%Y-%m-%d %H:%M:%S} UTC" if last_spend_time else None),
            ("Allocated", format_time(row["allocated_at"])),
            ("Limit set", format_time(row["limit_set_at"])),
            ("Organization", identity.organization),
            ("Unknown usage", row["unknown_usage"]),
        ])  # fmt: skip


def show_crossings(identity: BudgetIdentity | None, with_organization: bool) -> None:
    """Show the threshold crossings of one budget, or of all."""
    selection = pager.read_slice("crossings", MAX_CROSSINGS)
    rows = queries.list_crossings(selection, identity)
    total = int(rows[0]["number"]) if rows else 0
    pager.draw_title("Threshold crossings of budgets", "crossings", "Search crossings", selection, total, "crossings")
    if rows:
        tables.draw_crossings(rows, with_organization, is_single=identity is not None)
    elif not selection.search:
        st.caption("No threshold has been crossed yet.")
    pager.draw_pages("crossings", selection, total)


def _link_calls(identity: BudgetIdentity) -> str:
    if identity.dimension not in usage.DIMENSIONS:
        return ""
    return " · " + link(
        "Spend of this scope", "overview", {"period": "all", identity.dimension: spell(identity.scope_value)}
    )
