"""The page Incidents: what is running away now, what it costs an hour, what is over, and how right detectors are."""

import streamlit as st

from dashboards.components import pager
from dashboards.components.controls import pick
from dashboards.components.format import count
from dashboards.components.html import draw_live_line, draw_note
from dashboards.pages.incidents import incident, queries, tables, words
from dashboards.sources import usage
from dashboards.sources.warehouse import Row, guard_fragment, guard_page

MAX_EPISODES = 20


@guard_page
def page() -> None:
    query = st.query_params
    interval_s = usage.choose_poll_interval_s()
    if episode := query.get("episode") or query.get("alert"):
        st.fragment(guard_fragment(incident.show), run_every=interval_s)(episode)
    else:
        st.fragment(guard_fragment(_show_incidents), run_every=interval_s)()


def _show_incidents() -> None:
    states = queries.sum_states()
    if not states:
        _show_no_incidents()
        return
    st.header(words.QUESTION, anchor=False)
    draw_note(words.answer(states))
    _show_headline(states)
    kind = queries.KINDS[pick("Kind", list(queries.KINDS), "kind")]
    _show_episodes("Active", "active", kind, f"Nothing is active. {_describe_over(states)}")
    _show_episodes("Over", "over", kind, "Nothing is over yet.")
    _show_detectors()
    draw_live_line()


def _show_headline(states: list[Row]) -> None:
    with st.container(horizontal=True, key="headline"):
        for state in ("active", "closed", "history"):
            number = sum(int(row["episodes"]) for row in states if row["state"] == state)
            st.metric(state.capitalize(), count(number), border=True, help=words.STATES[state])


def _show_episodes(title: str, key: str, kind: str, empty_text: str) -> None:
    selection = pager.read_slice(key, MAX_EPISODES)
    rows = queries.list_active(kind, selection) if key == "active" else queries.list_over(kind, selection)
    total = int(rows[0]["number"]) if rows else 0
    pager.draw_title(title, key, "Search incidents", selection, total, key)
    if rows:
        tables.draw_episodes(rows)
    elif not selection.search:
        st.caption(empty_text)
    pager.draw_pages(key, selection, total)


def _describe_over(states: list[Row]) -> str:
    last = max(row["last_detected_at"] for row in states)
    return f"The last incident was found {last:%Y-%m-%d %H:%M} UTC, by the log's clock."


def _show_detectors() -> None:
    rows = queries.list_detectors()
    if not rows:
        return
    st.subheader("How right the detectors are", anchor="detectors")
    tables.draw_detectors(rows)
    draw_note(
        "By what people said of alerts: `tally alerts label ALERT true` or `false`. The interval is Wilson's, of 95 %."
    )


def _show_no_incidents() -> None:
    st.header(words.QUESTION, anchor=False)
    st.write(
        "Nothing: no agent repeats itself, and no budget is at its limit. A runaway appears here within seconds, with "
        "its cost and its calls. To be told of it elsewhere, add a route: `tally alerts route add --help`."
    )
