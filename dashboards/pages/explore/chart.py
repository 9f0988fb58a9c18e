"""The chart of the page Explore: stacked bars of a sum, lines of a ratio. Times are those of the reader's zone."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import altair as alt
import streamlit as st

from dashboards import periods
from dashboards.components import html
from dashboards.components.bar_chart import Section, draw_bars
from dashboards.components.charts import build_amount_axis, build_time_axis, to_wall_ms
from dashboards.components.format import exact
from dashboards.pages.explore import queries
from dashboards.pages.explore.answer import shorten_value
from dashboards.pages.explore.queries import View
from dashboards.periods import Span
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
    if view.measure.kind == "ratio":
        _draw_lines(view, points, span, order, colours)
    else:
        _draw_bars(view, points, span, colours)
    if span != view.period.now:
        html.draw_note(f"The chart shows {periods.format_span(span, zone)}; the figures, all of the period.")
    if queries.has_exact_bars(view, span, bar) and isinstance(bar, str):
        html.draw_note(f"Days of {view.zone} begin within hours of UTC, so the chart reads single calls.")


def _draw_bars(view: View, points: list[Row], span: Span, colours: Sequence[str]) -> None:
    zone = periods.find_zone(view.zone)
    currency = None if view.measure.kind == "count" else view.currency
    name = view.measure_name[0].upper() + view.measure_name[1:]
    sections = [
        Section(
            _read_wall(point["start"]),
            _read_wall(point["end"]),
            point["height"],
            colours[point["rank"]],
            (
                f"From {point['from']}, {view.zone}",
                point["name"],
                f"{name}: {_format_height(point['height'], currency)}",
            ),
        )
        for point in sorted(points, key=lambda point: (point["start"], point["rank"]))
    ]
    start, end = (time.astimezone(zone).replace(tzinfo=None) for time in span)
    draw_bars(sections, start, end, f"{name} over time", currency)


def _format_height(height: float, currency: str | None) -> str:
    return f"{height:,.0f}" if currency is None else exact(Decimal(str(height)), currency)


def _draw_lines(view: View, points: list[Row], span: Span, order: Sequence[str], colours: Sequence[str]) -> None:
    axis = build_amount_axis(max(point["height"] for point in points), view.currency)
    layer = (
        alt.Chart({"values": points})
        .mark_line(point={"size": 18})
        .encode(
            x=build_time_axis(span, periods.find_zone(view.zone)),
            y=alt.Y("height:Q", title=None, stack=None, axis=axis),
            color=alt.Color("name:N", scale=alt.Scale(domain=order, range=colours), legend=None),
            tooltip=[
                alt.Tooltip("from:N", title=f"From, {view.zone}"),
                alt.Tooltip("name:N", title="Group"),
                alt.Tooltip("height:Q", title=view.measure.name, format=",.12~f"),
            ],
        )
    )
    st.altair_chart(layer.properties(height=260), width="stretch")


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


def _read_wall(milliseconds: int) -> datetime:
    """Return the time that the clocks of a zone show."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None)


def _read_day(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)
