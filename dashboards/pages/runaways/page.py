"""Runaways: which sessions repeat a call now and did lately, since when, at what cost, and the calls that show it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import streamlit as st

from dashboards.components.format import count
from dashboards.components.html import Html, draw_facts, draw_heading, link, draw_live_line, mono, draw_note
from dashboards.pages.runaways import queries
from dashboards.pages.runaways import tables as runs
from dashboards.periods import format_duration
from dashboards.sources import usage
from dashboards.sources.warehouse import Row, guard_page, guard_fragment

MAX_ALERTS = 20
MAX_CALLS = 100


@guard_page
def page() -> None:
    query = st.query_params
    if "alert" in query:
        st.fragment(guard_fragment(_show_runaway), run_every=usage.choose_poll_interval_s())(query["alert"])
    else:
        st.fragment(guard_fragment(_show_runaways), run_every=usage.choose_poll_interval_s())()


def _show_runaways() -> None:
    totals = queries.count_alerts()
    if not totals:
        _show_no_runaways()
        return
    _show_headline(totals)
    for title, is_active, empty_text in (("Now", True, "No session repeats itself."), ("Lately", False, "None yet.")):
        st.subheader(title, anchor=title.lower())
        rows = queries.list_alerts(is_active, MAX_ALERTS)
        if rows:
            runs.draw_sessions(rows)
        else:
            st.caption(empty_text)
        if rows and totals[is_active]["alerts"] > len(rows):
            st.caption(f"The latest {len(rows)} of {count(totals[is_active]['alerts'])}.")
    st.subheader("By agent", anchor="agents")
    runs.draw_agents(queries.list_agents())
    _show_live_line()


def _show_headline(totals: dict[bool, Row]) -> None:
    with st.container(horizontal=True, key="headline"):
        for is_active, label, cost_label in ((True, "Going on", "Cost so far"), (False, "Ended", "Cost of those")):
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
        st.info("There is no such alert. It may not have arrived yet, or the link was cut short.")
        st.html(f'<div class="tally">{_link_runaways()}</div>')
        return
    draw_heading(f"{row['agent'] or 'A session'} {'repeats' if row['is_open'] else 'repeated'} {row['tool']}")
    draw_note(f"Session {row['session']}: the same tool, with the same arguments and the same result, again and again.")
    with st.container(horizontal=True, key="headline"):
        st.metric("Times", count(row["repeats"]), border=True)
        _show_cost("Cost so far" if row["is_open"] else "Cost", row["spent"])
        if hourly_cost := runs.compute_hourly_cost(row):
            _show_cost("Cost an hour", hourly_cost)
        st.metric("For", format_duration(row["last_at"] - row["started_at"]), border=True)
    draw_facts([
        ("State", f"goes on, {runs.describe_state(row)}" if row["is_open"] else f"ended: the session {runs.describe_state(row)}"),
        ("First call", f"{row['started_at']:%Y-%m-%d %H:%M:%S} UTC"),
        ("Latest call", f"{row['last_at']:%Y-%m-%d %H:%M:%S} UTC"),
        ("Alert raised", f"{row['raised_at']:%Y-%m-%d %H:%M:%S} UTC, by the log's clock"),
        ("Alert resolved", f"{row['resolved_at']:%Y-%m-%d %H:%M:%S} UTC" if row["resolved_at"] else None),
        ("Team", row["team"]),
        ("Evidence", _link_evidence(row)),
        ("Arguments", mono(row["arguments_hash"])),
        ("Result", mono(row["result_hash"])),
    ])  # fmt: skip
    st.subheader("Its calls", anchor="calls")
    runs.draw_calls(queries.list_calls(alert, MAX_CALLS))
    if row["calls"] > MAX_CALLS:
        st.caption(f"The first {MAX_CALLS} of {count(row['calls'])}.")
    st.html(f'<div class="tally">{_link_runaways()}</div>')
    _show_live_line()


def _link_evidence(row: Row) -> Html:
    return Html(" · ".join(link(position, "call", {"position": position}) for position in row["evidence_positions"]))


def _link_runaways() -> Html:
    return link("All runaways", "runaways", {})


def _show_no_runaways() -> None:
    st.header("No runaways", anchor=False)
    st.write(
        "No session has called the same tool with the same arguments and the same result three times in a row. "
        "One that does is shown here within seconds, with its calls."
    )


def _show_live_line() -> None:
    draw_live_line(f"Live, {datetime.now(UTC):%H:%M:%S} UTC")
