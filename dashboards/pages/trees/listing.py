"""The list of the page Call trees: the most expensive call trees or sessions of a period."""

import streamlit as st

from dashboards import periods
from dashboards.components import empty_ledger, pager
from dashboards.components.controls import pick, pick_currency, pick_period
from dashboards.components.format import money, percent
from dashboards.components.html import draw_heading, draw_live_line, draw_note, link
from dashboards.pages.trees import queries, tables
from dashboards.pages.trees.queries import Selection
from dashboards.periods import PERIODS, Span
from dashboards.sources import usage
from dashboards.sources.warehouse import Row, guard_fragment

KINDS = ("call trees", "sessions")
LIST_PERIODS = [name for name in PERIODS if name != "range"]


def show(interval_s: int) -> None:
    """Show the list, or how to begin where the ledger is empty."""
    data = usage.find_extent()
    if data is None:
        empty_ledger.show()
        return
    st.fragment(guard_fragment(_show), run_every=interval_s)(data)


def _show(data: Span) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        kind = pick("List", KINDS, "list")
        period = pick_period(data, LIST_PERIODS)
        currency = pick_currency("collapsed")
    rows = pager.read_slice(kind.replace(" ", "_"))
    span = periods.resolve(period, periods.read_clock(), data).now.whole_minutes()
    selection = Selection(span, currency, rows)
    answer = st.container()
    with st.spinner(f"Reading the {kind} of this period. A period of millions of calls takes some seconds."):
        page_rows = queries.list_trees(selection) if kind == KINDS[0] else queries.list_sessions(selection)
    total = int(page_rows[0]["number"]) if page_rows else 0
    with answer:
        _show_answer(kind, page_rows, rows.first, selection)
    pager.draw_search(kind.replace(" ", "_"), _SEARCHES[kind], rows, total)
    if page_rows and kind == KINDS[0]:
        tables.draw_trees(page_rows, currency)
    elif page_rows:
        tables.draw_sessions(page_rows, currency)
    elif not rows.search:
        st.info(f"No {kind} in this period. {_HINTS[kind]}")
        st.html(f'<div class="tally">{link("All time", "trees", {"period": "all", "list": kind})}</div>')
    pager.draw_pages(kind.replace(" ", "_"), rows, total)
    draw_live_line(f" · {periods.format_span(span)}")


_SEARCHES = {KINDS[0]: "Search agent, model, session, id", KINDS[1]: "Search session, agent, model, team"}
_HINTS = {
    KINDS[0]: "A call tree is listed in the period in which it began.",
    KINDS[1]: "Send `session` with each call to see what a conversation or run costs.",
}


def _show_answer(kind: str, page_rows: list[Row], first: int, selection: Selection) -> None:
    """Draw the question, and on the first page its answer."""
    draw_note(f"Which {kind} of this period cost the most?")
    if first or not page_rows or selection.rows.search:
        draw_heading(kind.capitalize())
        return
    cost = page_rows[0]["billed_cost" if kind == KINDS[0] else "cost"]
    if cost is None:
        draw_heading(f"No {kind} of this period have a price.")
        return
    share = percent(cost, page_rows[0]["total_cost"] or 0)
    text = f"The most expensive of {page_rows[0]['number']:,} {kind} cost {money(cost, selection.currency)}"
    draw_heading(f"{text}, {share}% of what they cost together.")
