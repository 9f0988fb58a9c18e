"""The tables and the chart of the page SQL."""

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import altair as alt
import streamlit as st

from dashboards.components.charts import TICK_FORMATS, build_amount_axis
from dashboards.components.html import Cell, Column, add_line, draw_table, mark_code, mono
from dashboards.sources.statements import Answer
from dashboards.spelling import ABSENT_NAME, shorten
from dashboards.theme import COLOURS
from warehouse.catalogue import Mart

MAX_SHOWN_ROWS = 200
MAX_BARS = 60


def draw_answer(answer: Answer) -> None:
    """Draw the first rows of an answer, with all digits."""
    columns = [
        Column(shorten(name), "right" if is_number(answer, place) else "") for place, name in enumerate(answer.columns)
    ]
    draw_table(columns, ([_render(value) for value in row] for row in answer.rows[:MAX_SHOWN_ROWS]))


def draw_columns(mart: Mart) -> None:
    """Draw the columns of a mart with unit and meaning."""
    draw_table(
        [Column("Column, unit"), Column("Description", "wrap")],
        ((add_line(mono(column.name), column.unit), mark_code(column.description)) for column in mart.columns),
    )


def is_number(answer: Answer, place: int) -> bool:
    """Tell whether a column holds numbers: where it has a value, that is one."""
    values = [row[place] for row in answer.rows if row[place] is not None]
    return bool(values) and all(isinstance(value, int | float | Decimal) for value in values)


def list_numbers(answer: Answer) -> list[str]:
    """List the columns that a chart can show as its height: numbers behind the first column."""
    return [name for place, name in enumerate(answer.columns) if place and is_number(answer, place)]


def draw_chart(answer: Answer, name: str) -> None:
    """Draw a column over the first one: a line over time, else bars in the order of the answer."""
    place = answer.columns.index(name)
    rows = answer.rows if (is_time := isinstance(answer.rows[0][0], date)) else answer.rows[:MAX_BARS]
    points = [
        {
            "x": row[0].isoformat() if is_time else _label(row[0]) or ABSENT_NAME,
            "y": float(row[place]),
            "exact": _label(row[place]),
        }
        for row in rows
        if row[0] is not None and row[place] is not None
    ]
    heights = [abs(float(row[place])) for row in rows if row[place] is not None]
    is_count = all(height.is_integer() for height in heights)
    height_axis = build_amount_axis(max(heights, default=0), None if is_count else "")
    mark = alt.Chart({"values": points})
    chart = (
        mark.mark_line(color=COLOURS[0], point={"color": COLOURS[0]}) if is_time else mark.mark_bar(color=COLOURS[0])
    )
    if is_time:
        axis = alt.Axis(format=TICK_FORMATS, labelOverlap=True)
        x = alt.X("x:T", title=None, scale=alt.Scale(type="utc"), axis=axis)
    else:
        x = alt.X("x:N", title=None, sort=None, axis=alt.Axis(labelLimit=120, labelOverlap=True))
    st.altair_chart(
        chart.encode(
            x=x,
            y=alt.Y("y:Q", title=shorten(name), axis=height_axis),
            tooltip=[
                alt.Tooltip("x:N", title=shorten(answer.columns[0])), alt.Tooltip("exact:N", title=shorten(name)),
            ],
        ).properties(height=320),
        width="stretch",
    )  # fmt: skip


def build_csv(answer: Answer) -> str:
    """Write an answer as CSV, with all digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(answer.columns)
    writer.writerows([["" if value is None else _text(value) for value in row] for row in answer.rows])
    return buffer.getvalue()


def _render(value: Any) -> Cell:
    return None if value is None else _text(value)


def _label(value: Any) -> str:
    return shorten(_text(value))


def _text(value: Any) -> str:
    """Return a value as `tally sql` prints it."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)}: {_text(item)}' for key, item in value.items())}}}"
    return str(value)
