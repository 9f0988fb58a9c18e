"""Runaways: which sessions repeat a call now and did lately, since when, at what cost, and the calls that show it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import streamlit as st

from dashboards.components.format import count
from dashboards.components.html import Html, facts, heading, link, live, mono, note
from dashboards.pages.runaways import queries
from dashboards.pages.runaways import tables as runs
from dashboards.periods import lasting
from dashboards.sources import usage
from dashboards.sources.warehouse import Row, guarded, guarded_part

LATELY = 20
CALLS = 100


@guarded
def page() -> None:
    asked = st.query_params
    if "alert" in asked:
        st.fragment(guarded_part(_one), run_every=usage.pace())(asked["alert"])
    else:
        st.fragment(guarded_part(_all), run_every=usage.pace())()


def _all() -> None:
    totals = queries.totals()
    if not totals:
        _none()
        return
    _headline(totals)
    for title, going_on, nothing in (("Now", True, "No session repeats itself."), ("Lately", False, "None yet.")):
        st.subheader(title, anchor=title.lower())
        rows = queries.alerts(going_on, LATELY)
        if rows:
            runs.sessions(rows)
        else:
            st.caption(nothing)
        if rows and totals[going_on]["alerts"] > len(rows):
            st.caption(f"The latest {len(rows)} of {count(totals[going_on]['alerts'])}.")
    st.subheader("By agent", anchor="agents")
    runs.agents(queries.by_agent())
    _live()


def _headline(totals: dict[bool, Row]) -> None:
    with st.container(horizontal=True, key="headline"):
        for going_on, said, whose in ((True, "Going on", "Cost so far"), (False, "Ended", "Cost of those")):
            row = totals.get(going_on)
            st.metric(said, count(row["alerts"] if row else 0), border=True)
            if row:
                _cost(whose, row["spent"])


def _cost(label: str, spent: Mapping[str, Decimal]) -> None:
    shown, whole = runs.sums(spent)
    st.metric(label, shown, border=True, help=f"{whole}, at list price")


def _one(alert: str) -> None:
    row = queries.one(alert)
    if row is None:
        st.info("There is no such alert. It may not have arrived yet, or the link was cut short.")
        st.html(f'<div class="tally">{_back()}</div>')
        return
    heading(f"{row['agent'] or 'A session'} {'repeats' if row['is_open'] else 'repeated'} {row['tool']}")
    note(f"Session {row['session']}: the same tool, with the same arguments and the same result, again and again.")
    with st.container(horizontal=True, key="headline"):
        st.metric("Times", count(row["repeats"]), border=True)
        _cost("Cost so far" if row["is_open"] else "Cost", row["spent"])
        if pace := runs.hourly(row):
            _cost("Cost an hour", pace)
        st.metric("For", lasting(row["last_at"] - row["started_at"]), border=True)
    facts([
        ("State", f"goes on, {runs.state(row)}" if row["is_open"] else f"ended: the session {runs.state(row)}"),
        ("First call", f"{row['started_at']:%Y-%m-%d %H:%M:%S} UTC"),
        ("Latest call", f"{row['last_at']:%Y-%m-%d %H:%M:%S} UTC"),
        ("Alert raised", f"{row['raised_at']:%Y-%m-%d %H:%M:%S} UTC, by the log's clock"),
        ("Alert resolved", f"{row['resolved_at']:%Y-%m-%d %H:%M:%S} UTC" if row["resolved_at"] else None),
        ("Team", row["team"]),
        ("Evidence", _evidence(row)),
        ("Arguments", mono(row["arguments_hash"])),
        ("Result", mono(row["result_hash"])),
    ])  # fmt: skip
    st.subheader("Its calls", anchor="calls")
    runs.calls(queries.calls(alert, CALLS))
    if row["calls"] > CALLS:
        st.caption(f"The first {CALLS} of {count(row['calls'])}.")
    st.html(f'<div class="tally">{_back()}</div>')
    _live()


def _evidence(row: Row) -> Html:
    return Html(" · ".join(link(one, "call", {"position": one}) for one in row["evidence_positions"]))


def _back() -> Html:
    return link("All runaways", "runaways", {})


def _none() -> None:
    st.header("No runaways", anchor=False)
    st.write(
        "No session has called the same tool with the same arguments and the same result three times in a row. "
        "One that does is shown here within seconds, with its calls."
    )


def _live() -> None:
    live(f"Live, {datetime.now(UTC):%H:%M:%S} UTC")
