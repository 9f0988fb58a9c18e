"""The chart of the page Explore: stacked bars of a sum, lines of a ratio. Times are those of the reader's zone."""

from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

import altair as alt
import streamlit as st

from dashboards import periods
from dashboards.components import html
from dashboards.components.charts import build_amount_axis, build_time_axis, to_wall_ms
from dashboards.pages.explore import queries
from dashboards.pages.explore.answer import shorten_value
from dashboards.pages.explore.queries import View
from dashboards.sources.usage import crop_to_calls
from dashboards.sources.warehouse import Row
from dashboards.spelling import OTHER_NAMES, spell
from dashboards.theme import COLOURS

MAX_GROUPS = 8


def draw(view: View, groups: Sequence[tuple[str, ...]]) -> None:
    """Draw the measure of the largest groups over the period."""
    span = crop_to_calls(view.period.now)
    bar = periods.choose_bar(span)
    rows = queries.list_bars(view, span, bar, groups)
    if not any(row["height"] for row in rows):
        st.caption("The measure is zero in all of this period.")
        return
    zone = periods.find_zone(view.zone)
    has_other = any(row["is_other"] for row in rows)
    order = [*map(name_names, groups), *[OTHER_NAMES] * has_other]
    colours = [*COLOURS[: len(groups)], *COLOURS[-1:] * has_other]
    labels = [html.Html(" · ".join(html.named(name) for name in names)) for names in groups]
    html.draw_legend([*labels, *[html.soften(OTHER_NAMES)] * has_other], colours)
    points = [_build_point(view, row, bar, zone, order) for row in rows]
    is_ratio = view.measure.kind == "ratio"
    chart = alt.Chart({"values": points})
    currency = None if view.measure.kind == "count" else view.currency
    axis = build_amount_axis(_find_highest(points, is_ratio), currency)
    field = "height:Q" if is_ratio else "sum(height):Q"
    y = alt.Y(field, title=None, stack=None if is_ratio else "zero", axis=axis)
    color = alt.Color("name:N", scale=alt.Scale(domain=order, range=colours), legend=None)
    tooltip = [
        alt.Tooltip("from:N", title=f"From, {view.zone}"), alt.Tooltip("name:N", title="Group"),
        alt.Tooltip("height:Q", title=view.measure.name, format=",.12~f" if currency else ","),
    ]  # fmt: skip
    x = build_time_axis(span, zone)
    if is_ratio:
        layer = chart.mark_line(point={"size": 18}).encode(x=x, y=y, color=color, tooltip=tooltip)
    else:
        layer = chart.mark_bar().encode(
            x=x, x2=alt.X2("end:T"), y=y, color=color, order=alt.Order("rank:Q"), tooltip=tooltip
        )
    st.altair_chart(layer.properties(height=260), width="stretch")
    if span != view.period.now:
        html.draw_note(f"The chart shows {periods.format_span(span, zone)}; the figures, all of the period.")
    if queries.has_exact_bars(view, span, bar) and isinstance(bar, str):
        html.draw_note(f"Days of {view.zone} begin within hours of UTC, so the chart reads single calls.")


def name_names(names: Sequence[str]) -> str:
    """Return the names of a group as one text."""
    return " · ".join(shorten_value(spell(name)) for name in names)


def _build_point(view: View, row: Row, bar: int | str, zone: ZoneInfo, order: list[str]) -> Row:
    names = [row[f"name_{index}"] for index in range(len(view.dimensions))]
    name = OTHER_NAMES if row["is_other"] else name_names(names)
    start = row["start"]
    if isinstance(bar, int):
        begin = datetime.fromtimestamp(start, zone)
        end, text = datetime.fromtimestamp(start + bar, zone), f"{begin:%-d %b %Y, %H:%M:%S}"
    else:
        begin, end = _read_day(start), _read_day(periods.end_bar(start, bar))
        text = f"{begin:%-d %b %Y}" if bar == "day" else f"{begin:%-d %b %Y}, a {bar}"
    return {
        "start": to_wall_ms(begin), "end": to_wall_ms(end), "from": text, "name": name, "rank": order.index(name),
        "height": row["height"],
    }  # fmt: skip


def _read_day(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def _find_highest(points: Sequence[Row], is_ratio: bool) -> float:
    heights: dict[int, float] = {}
    for point in points:
        height = point["height"]
        start = point["start"]
        heights[start] = max(heights.get(start, 0), height) if is_ratio else heights.get(start, 0) + height
    return max(heights.values())
