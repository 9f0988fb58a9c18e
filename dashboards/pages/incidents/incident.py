"""One episode: what repeats, its clocks, its cost, its calls, and what can be done about it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import streamlit as st

from dashboards.components import pager
from dashboards.components.bar_chart import Section, draw_bars
from dashboards.components.format import count, exact
from dashboards.components.html import Cell, Html, draw_facts, draw_heading, draw_live_line, draw_note, link
from dashboards.components.links import link_session
from dashboards.components.timeline import draw_timeline
from dashboards.pages.incidents import queries, tables, words
from dashboards.periods import format_duration
from dashboards.sources import persons
from dashboards.sources.warehouse import Row
from dashboards.theme import COLOURS

MAX_CALLS = 50
MAX_BARS = 240


def show(episode: str) -> None:
    """Draw an episode as it stands now."""
    row = queries.find_episode(episode)
    if row is None:
        st.info("No such incident. It may not have arrived yet, or the link is incomplete.")
        _draw_back()
        return
    draw_heading(words.title(row))
    draw_note(words.explain(row))
    _show_figures(row)
    st.subheader("Clocks", anchor="clocks")
    draw_timeline(words.list_clocks(row))
    draw_note("Began is event time; the others are the log's time, at which a record was accepted.")
    selection = pager.read_slice("calls", MAX_CALLS)
    calls = queries.list_calls(episode, selection) if row["kind"] == "runaway" else []
    draw_facts(_list_facts(row, calls))
    _show_actions(row)
    if row["kind"] == "runaway":
        _show_minutes(row, queries.list_minutes(episode))
        st.subheader("Calls", anchor="calls")
        tables.draw_calls(calls)
        pager.draw_pages("calls", selection, int(calls[0]["number"]) if calls else 0)
    _draw_back()
    draw_live_line()


def _show_figures(row: Row) -> None:
    is_active = row["state"] == "active"
    with st.container(horizontal=True, key="headline"):
        st.metric("State", row["state"], border=True)
        _show_sums("Cost so far" if is_active else "Cost", row["spent"])
        if row["kind"] == "runaway":
            st.metric("Repeats", count(row["repeats"]), border=True)
            st.metric("Duration", format_duration(row["last_at"] - row["began_at"]), border=True)
        if row["per_hour"]:
            _show_sums("Cost an hour", row["per_hour"])
        if is_active and row["per_hour"]:
            _show_sums("In an hour", _project(row))


def _show_sums(label: str, amounts: Mapping[str, Decimal]) -> None:
    text, detail = words.format_sums(amounts)
    st.metric(label, text, border=True, help=f"{detail}, at list price")


def _project(row: Row) -> dict[str, Decimal]:
    """Return what it will have cost in an hour if nobody stops it."""
    spent, per_hour = row["spent"], row["per_hour"]
    return {
        currency: spent.get(currency, Decimal(0)) + per_hour.get(currency, Decimal(0))
        for currency in {*spent, *per_hour}
    }


def _list_facts(row: Row, calls: list[Row]) -> list[tuple[str, Cell]]:
    names = persons.find_names(row["organization"], [row["owner"], row["on_call"]])
    facts: list[tuple[str, Cell]] = [
        ("State", words.describe_state(row)),
        ("Severity", row["severity"]),
        ("Team", row["owner_team"] or "none: the calls name no team, and the registry assigns the agent to none"),
        ("Owner", names.get(row["owner"], row["owner"])),
        ("On call", names.get(row["on_call"], row["on_call"])),
        ("Cost center", row["cost_center"]),
        ("Session", link_session(row["session"], row["organization"]) if row["session"] else None),
    ]
    if calls:
        identity = {
            "source": calls[0]["event_source"], "id": calls[0]["event_id"], "organization": row["organization"],
        }  # fmt: skip
        facts.append(("Call tree", link("From its root, with all that it caused", "trees", identity)))
    if row["kind"] == "budget_crossing":
        facts.append(
            ("Budget", link("The budget, and the call that crossed", "budgets", {"list_search": row["scope_value"]}))
        )
    facts.append(("Evidence", _link_evidence(row)))
    facts += [("Done" if number == 0 else "", words.describe_step(step)) for number, step in enumerate(row["handling"])]
    return facts


def _show_actions(row: Row) -> None:
    st.subheader("What to do", anchor="actions")
    for purpose, command in words.list_commands(row):
        st.caption(purpose)
        st.code(command, language=None, wrap_lines=True)


def _show_minutes(row: Row, minutes: list[Row]) -> None:
    currencies = sorted({currency for minute in minutes for currency in minute["spent"]})
    if not minutes or not currencies:
        return
    st.subheader("Cost by minute", anchor="minutes")
    start, end = minutes[0]["minute_at"], minutes[-1]["minute_at"] + timedelta(minutes=1)
    bar = timedelta(minutes=max(1, -((start - end) // timedelta(minutes=MAX_BARS))))
    for currency in currencies:
        amounts: dict[datetime, Decimal] = {}
        for minute in minutes:
            bar_start = start + (minute["minute_at"] - start) // bar * bar
            amounts[bar_start] = amounts.get(bar_start, Decimal(0)) + minute["spent"].get(currency, Decimal(0))
        sections = [
            Section(
                _to_clock(time), _to_clock(time + bar), float(amount), COLOURS[0],
                (f"From {time:%Y-%m-%d %H:%M} UTC, {format_duration(bar)}", exact(amount, currency)),
            )
            for time, amount in amounts.items()
        ]  # fmt: skip
        draw_bars(sections, _to_clock(start), _to_clock(end), f"Cost of {words.title(row)} over time", currency)


def _to_clock(time: datetime) -> datetime:
    return time.replace(tzinfo=None)


def _link_evidence(row: Row) -> Html:
    return Html(" · ".join(link(position, "call", {"position": position}) for position in row["evidence_positions"]))


def _draw_back() -> None:
    st.html(f'<div class="tally">{link("All incidents", "incidents", {})}</div>')
