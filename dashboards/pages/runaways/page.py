"""The page Runaways: agents that go on and learn nothing new, active and resolved, with cost, duration and calls."""

from collections.abc import Mapping
from decimal import Decimal

import streamlit as st

from dashboards.components import pager
from dashboards.components.format import count
from dashboards.components.html import Html, draw_facts, draw_heading, draw_live_line, draw_note, link, mono
from dashboards.components.links import link_session
from dashboards.pages.runaways import queries
from dashboards.pages.runaways import tables as runs
from dashboards.periods import format_duration
from dashboards.slices import Slice
from dashboards.sources import usage
from dashboards.sources.warehouse import Row, guard_fragment, guard_page
from ledger.detectors import describe_detector, spell_detector

MAX_ALERTS = 20
MAX_CALLS = 50


@guard_page
def page() -> None:
    query = st.query_params
    if "alert" in query:
        st.fragment(guard_fragment(_show_runaway), run_every=usage.choose_poll_interval_s())(query["alert"])
    else:
        st.fragment(guard_fragment(_show_runaways), run_every=usage.choose_poll_interval_s())()


def _show_runaways() -> None:
    active, resolved = (pager.read_slice(key, MAX_ALERTS) for key in ("active", "resolved"))
    agents = pager.read_slice("agents")
    listing = queries.read_listing(active, resolved, agents)
    if not listing.totals:
        _show_no_runaways()
        return
    _show_headline(listing.totals)
    _show_alerts("Active", listing.alerts[True], active, "No active runaways.")
    _show_alerts("Resolved", listing.alerts[False], resolved, "No resolved runaways.")
    _show_agents(listing.agents, agents)
    draw_live_line()


def _show_alerts(title: str, rows: list[Row], selection: Slice, empty_text: str) -> None:
    key = title.lower()
    total = int(rows[0]["number"]) if rows else 0
    pager.draw_title(title, key, f"Search {key} runaways", selection, total, key)
    if rows:
        runs.draw_sessions(rows)
    elif not selection.search:
        st.caption(empty_text)
    pager.draw_pages(key, selection, total)


def _show_agents(rows: list[Row], selection: Slice) -> None:
    total = int(rows[0]["number"]) if rows else 0
    pager.draw_title("By agent", "agents", "Search agents", selection, total, "agents")
    runs.draw_agents(rows)
    pager.draw_pages("agents", selection, total)


def _show_headline(totals: Mapping[bool, Row]) -> None:
    with st.container(horizontal=True, key="headline"):
        for is_active, label, cost_label in ((True, "Active", "Cost so far"), (False, "Resolved", "Cost of resolved")):
            row = totals.get(is_active)
            st.metric(label, count(row["alerts"] if row else 0), border=True)
            if row:
                _show_cost(cost_label, row["spent"])


def _show_cost(label: str, amounts: Mapping[str, Decimal]) -> None:
    text, detail = runs.format_sums(amounts)
    st.metric(label, text, border=True, help=f"{detail}, at list price")


def _show_runaway(alert: str) -> None:
    row = queries.find_alert(alert)
    if row is None:
        st.info("No such alert. It may not have arrived yet, or the link is incomplete.")
        st.html(f'<div class="tally">{_link_runaways()}</div>')
        return
    _draw_title(row)
    state = runs.describe_state(row)
    with st.container(horizontal=True, key="headline"):
        st.metric("Repeats", count(row["repeats"]), border=True)
        _show_cost("Cost so far" if row["is_open"] else "Cost", row["spent"])
        if hourly_cost := runs.compute_hourly_cost(row):
            _show_cost("Burn rate per hour", hourly_cost)
        st.metric("Duration", format_duration(row["last_at"] - row["started_at"]), border=True)
    draw_facts([
        ("State", f"Active, {state}" if row["is_open"] else f"Resolved: the session {state}"),
        ("First call", f"{row['started_at']:%Y-%m-%d %H:%M:%S} UTC"),
        ("Latest call", f"{row['last_at']:%Y-%m-%d %H:%M:%S} UTC"),
        ("Alert raised", f"{row['raised_at']:%Y-%m-%d %H:%M:%S} UTC, by the log's clock"),
        ("Alert resolved", f"{row['resolved_at']:%Y-%m-%d %H:%M:%S} UTC" if row["resolved_at"] else None),
        ("Team", row["team"]),
        ("Session", link_session(row["session"], row["organization"]) if row["session"] else None),
        ("Evidence", _link_evidence(row)),
        ("Arguments hash", mono(row["arguments_hash"]) if row["arguments_hash"] else None),
        ("Result hash", mono(row["result_hash"]) if row["result_hash"] else None),
    ])  # fmt: skip
    st.subheader("Calls", anchor="calls")
    selection = pager.read_slice("calls", MAX_CALLS)
    calls = queries.list_calls(alert, selection)
    runs.draw_calls(calls)
    pager.draw_pages("calls", selection, int(calls[0]["number"]) if calls else 0)
    st.html(f'<div class="tally">{_link_runaways()}</div>')
    draw_live_line()


def _draw_title(row: Row) -> None:
    agent, session = row["agent"] or "A session", row["session"]
    if row["tool"]:
        draw_heading(f"{agent} {'repeats' if row['is_open'] else 'repeated'} {row['tool']}")
    else:
        draw_heading(f"{agent}: {spell_detector(row['detector'])}")
    draw_note(f"Session {session}: {describe_detector(row['detector'])}.")


def _link_evidence(row: Row) -> Html:
    return Html(" · ".join(link(position, "call", {"position": position}) for position in row["evidence_positions"]))


def _link_runaways() -> Html:
    return link("All runaways", "runaways", {})


def _show_no_runaways() -> None:
    st.header("No runaways", anchor=False)
    st.write(
        "No agent repeats itself: the same call, a cycle of calls, the same result, error or prompt again and again. "
        "One that does appears here within seconds, with its calls."
    )
