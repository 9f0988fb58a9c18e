"""The page Budgets: grants and budgets as a tree, what their limits hold, and who was refused."""

import streamlit as st

from dashboards.components import pager
from dashboards.components.controls import pick, read_pick
from dashboards.components.format import count, quantify
from dashboards.components.html import Html, draw_heading, draw_legend, draw_live_line, draw_note, escape_text
from dashboards.components.links import BudgetIdentity
from dashboards.pages.budgets import budget, grant, queries, refusal, tables
from dashboards.pages.budgets.queries import Listing
from dashboards.sources import usage
from dashboards.sources.warehouse import Row, guard_fragment, guard_page


@guard_page
def page() -> None:
    query, interval_s = st.query_params, usage.choose_poll_interval_s()
    if "refusal" in query:
        refusal.show(query["refusal"])
    elif "grant" in query:
        st.fragment(guard_fragment(grant.show), run_every=interval_s)(query.get("organization", ""), query["grant"])
    elif "scope" in query:
        window = query.get("window", "")
        window_s = int(window) if window.isdecimal() and window.isascii() and len(window) < 9 else 0
        identity = BudgetIdentity(query.get("organization", ""), query.get("dimension", ""), query["scope"], window_s)
        st.fragment(guard_fragment(budget.show), run_every=interval_s)(identity)
    else:
        st.fragment(guard_fragment(_show), run_every=interval_s)()


def _show() -> None:
    view, period = read_pick(tuple(queries.VIEWS), "budgets"), read_pick(tuple(queries.PERIODS), "refused_in")
    selection = pager.read_slice("list")
    listing = queries.list_holders(view, queries.PERIODS[period], selection)
    if not listing.totals:
        _show_none()
        return
    totals = listing.totals
    draw_note("Which rights are at their limit, and who is being refused?")
    draw_heading(_answer(totals, period))
    _show_headline(totals, period)
    _show_unknown(totals)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        pick("Show", tuple(queries.VIEWS), "budgets")
        pager.draw_search("list", "Search grants and budgets", selection, listing.number)
    with_organization = totals["organizations"] > 1
    _show_list(listing, view, with_organization, bool(selection.search))
    pager.draw_pages("list", selection, listing.number)
    _show_refusals(period, with_organization)
    budget.show_crossings(None, with_organization)
    draw_live_line()


def _answer(totals: Row, period: str) -> str:
    """Answer the question of the page in a sentence or two."""
    number, names = int(totals["at_limit"]), [_name_right(right) for right in totals["fullest"]]
    if number:
        name_list = ", ".join(names) + (" and others" if number > len(names) else "")
        sentences = [f"{count(number)} of {count(totals['holders'])} {_be(number)} at the limit: {name_list}."]
    else:
        sentences = [f"None of {count(totals['holders'])} is at its limit."]
    refused_count = int(totals["refusals"])
    if refused_count:
        _, name, most_count = totals["most_refused"]
        part = "all" if most_count == refused_count else f"{count(most_count)} of them"
        subject = f"{quantify(refused_count, 'ask')} {_was(refused_count)}"
        sentences.append(f"{subject} refused in {period}, {part} by {name}.")
    elif totals["grants"]:
        sentences.append(f"Nobody was refused in {period}.")
    return " ".join(sentences)


def _name_right(right: tuple[str, ...]) -> str:
    _, kind, grant_name, dimension, scope = right
    return grant_name if kind == "grant" else f"{dimension} {scope}"


def _show_headline(totals: Row, period: str) -> None:
    figures = [
        ("Grants and budgets", totals["holders"], "Each gives a scope a right to make calls, with limits; budgets only "
         "warn"),
        ("At the limit", totals["at_limit"], "Used, reserved and leased together leave nothing of a limit"),
        ("Near the limit", totals["near_limit"], f"{queries.NEAR_LIMIT_PERCENT}% of a limit or more is used, reserved "
         "or leased"),
        ("Will be used up", totals["running_out"], "At the burn rate, a limit is used up before its window refills"),
        ("Stopped", totals["stopped"], "Paused, expired, revoked or not started, by itself or by a grant above it"),
        (f"Refused in {period}", totals["refusals"], "Asks for a call or a lease that a grant refused"),
    ]  # fmt: skip
    with st.container(horizontal=True, key="headline"):
        for label, number, meaning in figures:
            st.metric(label, count(int(number)), border=True, help=meaning)


def _show_unknown(totals: Row) -> None:
    """Say how many have calls whose cost is not known, how many deny them, and which budgets may count nothing."""
    number, denied_count = int(totals["with_unknown"]), int(totals["denied"])
    if number:
        subject = "1 grant or budget has" if number == 1 else f"{count(number)} grants and budgets have"
        denial = f", and {count(denied_count)} den{'y' if denied_count != 1 else 'ies'} them" if denied_count else ""
        st.html(f'<div class="tally unknown"><b>Cost not known:</b> {subject} such calls in the window{denial}.</div>')
    if names := [f"{dimension} {scope}" for dimension, scope in totals["warned"]]:
        name_list = escape_text(", ".join(names[:5])) + (" and others" if len(names) > 5 else "")
        reason = "no price was in the currency of the limit when it was set."
        st.html(f'<div class="tally unknown"><b>May count nothing:</b> {name_list}: {reason}</div>')


def _show_list(listing: Listing, view: str, with_organization: bool, is_searched: bool) -> None:
    if listing.rows:
        tables.draw_holders(listing.rows, with_organization, is_tree=view == "all" and not is_searched)
        draw_legend([Html(look) for look, _ in tables.PARTS], [colour for _, colour in tables.PARTS])
        moment = listing.totals["clock_at"]
        draw_note(
            f"As of {moment:%Y-%m-%d %H:%M:%S} UTC, the log's time. What a grant holds is told within 15 seconds of it."
        )
    elif not is_searched:
        st.caption("No grant or budget is in this state.")


def _show_refusals(period: str, with_organization: bool) -> None:
    selection = pager.read_slice("refusals")
    rows = queries.list_refusals(queries.PERIODS[period], selection)
    total = int(rows[0]["number"]) if rows else 0
    pager.draw_title("Refusals", "refusals", "Search refusals", selection, total, "refusals")
    pick("Period", tuple(queries.PERIODS), "refused_in")
    if rows:
        tables.draw_refusals(rows, with_organization)
    elif not selection.search:
        st.caption(f"Nobody was refused in {period}.")
    pager.draw_pages("refusals", selection, total)


def _show_none() -> None:
    st.header("No grants yet", anchor=False)
    st.write(
        "A grant is a right to make calls, with limits that are enforced: a gateway asks before it calls, and is "
        "refused where nothing is left. What each holds, and who was refused, appears here within seconds."
    )
    st.code(
        "tally grant create search --scope team=search --limit billed:100USD/1h \\\n"
        '  --at-limit downgrade=gpt-5-mini --reason "launch week"',
        language="bash",
    )
    st.write("A budget only warns: crossings of 50, 80 and 100% are told.")
    st.code('tally budget set --scope team=search --limit 100 --window 1h --reason "launch week"', language="bash")


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"
