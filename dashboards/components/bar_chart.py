"""A chart of stacked bars over time, as HTML: Vega takes a browser almost as long as the rest of a page.

Places are floats; the figures beside a chart are not.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import NamedTuple

import streamlit as st

from dashboards.components.axes import Axis, build_amount_axis, build_time_ticks
from dashboards.components.html import Html, escape_text

LAST_PLACE = 0.97
"""Share of the axis from which a label would be cut off at the right, were it centered below its tick."""


class Section(NamedTuple):
    """A section of a bar: from when to when on the clock of the axis, its height and its colour. Sections that begin at
    the same time stand on each other in their order; ``hint`` has its lines."""

    start: datetime
    end: datetime
    height: float
    colour: str
    hint: Sequence[str]


def draw_bars(
    sections: Iterable[Section], start: datetime, end: datetime, label: str, currency: str | None = None
) -> None:
    """Draw bars from one time to another, of amounts, or of counts where the currency is None; ``label`` is for those
    who cannot see it."""
    st.html(render_bars(sections, start, end, label, currency))


def render_bars(
    sections: Iterable[Section], start: datetime, end: datetime, label: str, currency: str | None = None
) -> Html:
    """Return the chart; sections beyond its times are cut off."""
    shown_sections = [section for section in sections if section.height and section.start < end and section.end > start]
    tops, bottoms = _stack(shown_sections)
    axis = build_amount_axis(min(bottoms.values(), default=0.0), max(tops.values(), default=0.0), currency)
    length = (end - start).total_seconds()
    pieces = []
    rises: dict[datetime, float] = {}
    falls: dict[datetime, float] = {}
    for section in shown_sections:
        stack = rises if section.height > 0 else falls
        base = stack.get(section.start, 0.0)
        stack[section.start] = base + section.height
        low, high = sorted((axis.find_place(base), axis.find_place(base + section.height)))
        left = (max(section.start, start) - start).total_seconds() / length
        right = (min(section.end, end) - start).total_seconds() / length
        hint = "&#10;".join(escape_text(line) for line in section.hint)
        pieces.append(
            f'<i style="left:{left:.3%};width:calc({right - left:.3%} - 1px);bottom:{low:.3%};height:{high - low:.3%};'
            f'background:{section.colour}" title="{hint}"></i>'
        )
    gutter = max(len(tick.label) for tick in axis.ticks)
    return Html(
        f'<div class="tally"><div class="bars" role="img" aria-label="{escape(label)}" style="--gutter:{gutter}ch">'
        f"{_render_amounts(axis)}{''.join(pieces)}{_render_times(start, end)}</div></div>"
    )


def _stack(sections: Sequence[Section]) -> tuple[dict[datetime, float], dict[datetime, float]]:
    """Return the top and the bottom of each bar."""
    tops: dict[datetime, float] = {}
    bottoms: dict[datetime, float] = {}
    for section in sections:
        ends = tops if section.height > 0 else bottoms
        ends[section.start] = ends.get(section.start, 0.0) + section.height
    return tops, bottoms


def _render_amounts(axis: Axis) -> str:
    return "".join(f'<u style="bottom:{tick.place:.3%}"><span>{escape(tick.label)}</span></u>' for tick in axis.ticks)


def _render_times(start: datetime, end: datetime) -> str:
    return "".join(
        f'<s style="left:{tick.place:.3%}" class="{_choose_look(number, tick.place)}">'
        f"<span>{escape(tick.label)}</span></s>"
        for number, tick in enumerate(build_time_ticks(start, end))
    )


def _choose_look(number: int, place: float) -> str:
    """Return the classes of a tick: each second is for wide screens, and a label at the right end lies left of it."""
    return " ".join(["wide"] * (number % 2) + ["last"] * (place > LAST_PLACE))
