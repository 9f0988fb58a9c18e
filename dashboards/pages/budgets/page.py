"""The page Budgets: limit, spend, burn rate and threshold crossings of each budget."""

import streamlit as st

from dashboards.components import charts
from dashboards.components.controls import pick
from dashboards.components.format import count, exact, money
from dashboards.components.html import draw_facts, draw_heading, draw_live_line, escape_text, format_time, link
from dashboards.components.links import BudgetIdentity
from dashboards.pages.budgets import queries
from dashboards.pages.budgets import tables as limits
from dashboards.periods import Span, format_window
from dashboards.sources import usage
from dashboards.sources.warehouse import Row, guard_fragment, guard_page
from dashboards.spelling import spell

VIEWS = ("all", "crossed")


@guard_page
def page() -> None:
    query = st.query_params
    if "scope" in query:
        window = query.get("window", "")
        window_s = int(window) if window.isdecimal() and window.isascii() and len(window) < 9 else 0
        identity = BudgetIdentity(query.get("organization", ""), query.get("dimension", ""), query["scope"], window_s)
        st.fragment(guard_fragment(_show_budget), run_every=usage.choose_poll_interval_s())(identity)
    else:
        st.fragment(guard_fragment(_show_budgets), run_every=usage.choose_poll_interval_s())()


def _show_budgets() -> None:
    rows = queries.list_budgets()
    if not rows:
        _show_no_budgets()
        return
    _show_headline(rows)
    _show_unknown(rows)
    _show_uncounted(rows)
    view = pick("Show", VIEWS, "budgets")
    visible_rows = [row for row in rows if row["fired_percent"] or view == "all"]
    with_organization = len({row["organization"] for row in rows}) > 1
    if visible_rows:
        limits.draw_budgets(visible_rows, with_organization)
        newest = max((row for row in rows if row["clock_at"]), key=lambda row: row["clock_at"], default=rows[0])
        st.caption(limits.describe_moment(newest))
    else:
        st.caption("No budget is above a threshold.")
    if rows[0]["number"] > len(rows):
        st.caption(f"Showing the {len(rows)} most used of {count(rows[0]['number'])}.")
    _show_crossings(None, with_organization)
    draw_live_line()


def _show_headline(rows: list[Row]) -> None:
    burns = [limits.find_burn(row) for row in rows]
    over_count = sum(row["remaining_amount"] <= 0 for row in rows)
    near_count = sum(limits.NEAR_LIMIT_PERCENT <= row["used_amount"] * 100 / row["limit_amount"] < 100 for row in rows)
    figures = [
        ("Budgets", int(rows[0]["number"]), "Each limits spend over a rolling window"),
        ("At or over limit", over_count, "Spend over the window has reached the limit"),
        ("Near limit", near_count, f"{limits.NEAR_LIMIT_PERCENT}% of the limit or more is used"),
        ("Will reach limit", sum(burn is not None and burn.limit_reached_at is not None for burn in burns),
         "At the burn rate of the last tenth of the window, spend reaches the limit"),
    ]  # fmt: skip
    with st.container(horizontal=True, key="headline"):
        for label, number, meaning in figures:
            st.metric(label, count(number), border=True, help=meaning)


def _show_unknown(rows: list[Row]) -> None:
    """Say how many of the budgets have calls whose cost is not known, and how many deny them."""
    number = sum(bool(row["unknown_calls"]) for row in rows)
    denied_count = sum(bool(row["is_denied"]) for row in rows)
    if number:
        subject = f"{count(number)} budget{'s have' if number != 1 else ' has'}"
        denial = f", and {count(denied_count)} den{'y' if denied_count != 1 else 'ies'} them" if denied_count else ""
        st.html(f'<div class="tally unknown"><b>Cost not known:</b> {subject} such calls in the window{denial}.</div>')


def _show_uncounted(rows: list[Row]) -> None:
    """Name the budgets that no price or contract was in the currency of, when they were set."""
    names = [limits.name_budget(row) for row in rows if row["warning"]]
    if names:
        subject = f"{escape_text(', '.join(names[:5]))}{' and others' if len(names) > 5 else ''}"
        reason = "no price was in the currency of the limit when it was set."
        st.html(f'<div class="tally unknown"><b>May count nothing:</b> {subject}: {reason}</div>')


def _show_budget(identity: BudgetIdentity) -> None:
    row = queries.find_budget(identity)
    if row is None:
        st.info("No such budget. It may not have arrived yet, or the link is incomplete.")
        st.html(f'<div class="tally">{link("All budgets", "budgets", {})}</div>')
        return
    currency, burn = row["currency"], limits.find_burn(row)
    draw_heading(limits.name_budget(row))
    with st.container(horizontal=True, key="headline"):
        for label, amount in (("Used", "used_amount"), ("Remaining", "remaining_amount"), ("Limit", "limit_amount")):
            st.metric(label, money(row[amount], currency), border=True, help=exact(row[amount], currency))
        if burn:
            st.metric(
                "Burn rate per hour", money(burn.per_hour, currency), border=True, help=exact(burn.per_hour, currency)
            )
    draw_facts([
        ("Utilization", limits.build_share_bar(row)),
        ("Forecast", limits.describe_outlook(row, burn)),
        ("Cost not known", limits.describe_unknown(row) if row["unknown_calls"] else None),
        ("Warning", f"When the limit was set, {row['warning']}." if row["warning"] else None),
        ("Threshold crossed", limits.build_threshold_cell(row) or "none"),
    ])  # fmt: skip
    if row["window_ends_at"] is None:
        st.caption("No spend in this scope since the budget was set.")
    else:
        st.subheader("Spend over the window", anchor=False)
        st.caption(limits.describe_moment(row))
        window = Span(row["window_starts_at"], row["window_ends_at"])
        charts.draw_buckets(row["spend_by_bucket"], window, int(row["bucket_s"]), currency)
    _show_details(row, identity)
    _show_crossings(identity, with_organization=False)
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


def _show_crossings(identity: BudgetIdentity | None, with_organization: bool) -> None:
    st.subheader("Threshold crossings", anchor="crossings")
    rows = queries.list_crossings(identity)
    if rows:
        limits.draw_crossings(rows, with_organization, is_single=identity is not None)
    else:
        st.caption("No threshold has been crossed yet.")


def _link_calls(identity: BudgetIdentity) -> str:
    if identity.dimension not in usage.DIMENSIONS:
        return ""
    return " · " + link(
        "Spend of this scope", "overview", {"period": "all", identity.dimension: spell(identity.scope_value)}
    )


def _show_no_budgets() -> None:
    st.header("No budgets yet", anchor=False)
    st.write(
        "A budget limits what a scope may spend over a rolling window. Crossings of 50, 80 and 100% appear here within "
        "seconds."
    )
    st.code('tally budget set --scope team=search --limit 100 --window 1h --reason "launch week"', language="bash")
