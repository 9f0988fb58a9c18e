"""The clocks of an episode on one axis of time, as HTML, and below it in words."""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import NamedTuple

import streamlit as st

from dashboards.components.html import Html, escape_text
from dashboards.periods import format_duration

MIN_DISTANCE = 0.03
"""The least share of the axis between two marks of a row; one nearer to the last stands a row higher."""


class Clock(NamedTuple):
    """A moment of an episode and what happened then; UTC."""

    name: str
    time: datetime


def draw_timeline(clocks: Sequence[Clock]) -> None:
    """Draw the clocks, which are in the order of their times. Nothing where there are none."""
    if clocks:
        st.html(render_timeline(clocks))


def render_timeline(clocks: Sequence[Clock]) -> Html:
    """Return the axis with a numbered mark a clock, and a line a clock with its time and that since the first."""
    start, length = clocks[0].time, (clocks[-1].time - clocks[0].time).total_seconds()
    places = [(clock.time - start).total_seconds() / length if length else 0.0 for clock in clocks]
    rows = _choose_rows(places)
    marks = "".join(
        f'<b style="left:{place:.2%};bottom:{row * 1.5:g}rem" title="{escape_text(clock.name)}">{number}</b>'
        for number, (place, row, clock) in enumerate(zip(places, rows, clocks, strict=True), 1)
    )
    lines = "".join(
        f"<tr><td><b>{number}</b> {escape_text(clock.name)}</td><td>{_format_moment(clock.time)}</td>"
        f'<td class="soft">{escape(_format_since(start, clock.time))}</td></tr>'
        for number, clock in enumerate(clocks, 1)
    )
    label = escape("; ".join(f"{clock.name} {clock.time:%Y-%m-%d %H:%M:%S} UTC" for clock in clocks))
    height = (max(rows) + 1) * 1.5
    return Html(
        f'<div class="tally"><div class="clocks" role="img" aria-label="{label}" style="height:{height:g}rem">'
        f"<u></u>{marks}</div><table><tbody>{lines}</tbody></table></div>"
    )


def _choose_rows(places: Sequence[float]) -> list[int]:
    """Return the row of each mark, 0 the lowest: the lowest whose last mark is far enough away."""
    lasts: list[float] = []
    rows = []
    for place in places:
        row = next((row for row, last in enumerate(lasts) if place - last >= MIN_DISTANCE), len(lasts))
        if row == len(lasts):
            lasts.append(place)
        lasts[row] = place
        rows.append(row)
    return rows


def _format_moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _format_since(start: datetime, time: datetime) -> str:
    return f"{format_duration(time - start)} later" if time > start else ""
