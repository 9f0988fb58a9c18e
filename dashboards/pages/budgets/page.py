"""The page Budgets: limit, spend, burn rate and threshold crossings of each budget."""

import streamlit as st

from dashboards.components import charts, pager
from dashboards.components.controls import pick, read_pick
from dashboards.components.format import count, exact, money
from dashboards.components.html import draw_facts, draw_heading, draw_live_line, escape_text, format_time, link
from dashboards.components.links import BudgetIdentity
from dashboards.pages.budgets import queries
from dashboards.pages.budgets import tables as limits
from dashboards.periods import Span, format_window
from dashboards.sources import usage
from dashboards.sources.warehouse import Row, guard_fragment, guard_page
from dashboards.spelling import spell

MAX_CROSSINGS = 20


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
    totals = queries.count_budgets()
    if not totals["budgets"]:
        _show_no_budgets()
        return
    _show_headline(totals)
    _show_unknown(totals)
    _show_uncounted(totals)
    selection = pager.read_slice("list")
    rows = queries.list_budgets(read_pick(tuple(queries.VIEWS), "budgets"), selection)
    total = int(rows[0]["number"]) if rows else 0
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        pick("Show", tuple(queries.VIEWS), "budgets")
        pager.draw_search("list", "Search budgets", selection, total)
    with_organization = totals["organizations"] > 1
    if rows:
        limits.draw_budgets(rows, with_organization)
        st.caption(limits.describe_moment(totals))
    elif not selection.search:
        st.caption("No budget is in this state.")
    pager.draw_pages("list", selection, total)
    _show_crossings(None, with_organization)
    draw_live_line()


def _show_headline(totals: Row) -> None:
    burns = [limits.find_burn(row) for row in queries.list_spending()]
    figures = [
        ("Budgets", totals["budgets"], "Each limits spend over a rolling window"),
        ("At or over limit", totals["at_limit"], "Spend over the window has reached the limit"),
        ("Near limit", totals["near_limit"], f"{queries.NEAR_LIMIT_PERCENT}% of the limit or more is used"),
        ("Will reach limit", sum(burn is not None and burn.limit_reached_at is not None for burn in burns),
         "At the burn rate of the last tenth of the window, spend reaches the limit"),
    ]  # fmt: skip
    with st.container(horizontal=True, key="headline"):
        for label, number, meaning in figures:
            st.metric(label, count(int(number)), border=True, help=meaning)


def _show_unknown(totals: Row) -> None:
    """Say how many of the budgets have calls whose cost is not known, and how many deny them."""
    number, denied_count = int(totals["with_unknown"]), int(totals["denied"])
    if number:
        subject = f"{count(number)} budget{'s have' if number != 1 else ' has'}"
        denial = f", and {count(denied_count)} den{'y' if denied_count != 1 else 'ies'} them" if denied_count else ""
        st.html(f'<div class="tally unknown"><b>Cost not known:</b> {subject} such calls in the window{denial}.</div>')


def _show_uncounted(totals: Row) -> None:
    """Name the budgets that no price or contract was in the currency of, when they were set."""
    columns = ("dimension", "scope_value", "window_s")
    names = [limits.name_budget(dict(zip(columns, values, strict=True))) for values in totals["warned"]]
    if names:
        subject = f"{escape_text(', '.join(names))}{' and others' if totals['with_warning'] > len(names) else ''}"
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
    selection = pager.read_slice("crossings", MAX_CROSSINGS)
    rows = queries.list_crossings(selection, identity)
    total = int(rows[0]["number"]) if rows else 0
    pager.draw_title("Threshold crossings", "crossings", "Search crossings", selection, total, "crossings")
    if rows:
        limits.draw_crossings(rows, with_organization, is_single=identity is not None)
    elif not selection.search:
        st.caption("No threshold has been crossed yet.")
    pager.draw_pages("crossings", selection, total)


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
