"""Charts over time. A chart may use floats; the figures beside it do not."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

import altair as alt
import streamlit as st

from dashboards import periods
from dashboards.components import html
from dashboards.components.format import SIGNS
from dashboards.periods import Span
from dashboards.sources import usage
from dashboards.sources.usage import View
from dashboards.sources.warehouse import Row
from dashboards.spelling import ABSENT_NAME, OTHER_NAMES, shorten, spell
from dashboards.theme import COLOURS

MAX_GROUPS = 8
TICK_FORMATS = {
    "year": "%b %Y",
    **dict.fromkeys(("quarter", "month"), "%b"),
    **dict.fromkeys(("week", "date", "day"), "%-d %b"),
    **dict.fromkeys(("hours", "minutes"), "%H:%M"),
    "seconds": "%H:%M:%S",
}
"""Format of a tick, by the coarsest unit that begins there."""


def draw_usage(view: View, names: Sequence[str], measure: str) -> None:
    """Draw stacked bars of spend, tokens or calls over the whole period, the largest groups by name."""
    span = usage.crop_to_calls(view.period.now)
    step_s = periods.choose_bar_s(span)
    top_names = list(names[:MAX_GROUPS])
    rows = usage.list_bars(view, span, step_s, top_names)
    if not any(row[measure] for row in rows):
        st.caption("Nothing of this period has a cost." if measure == "spend" else f"No {measure} in this period.")
        return
    has_other = any(row["is_other"] for row in rows)
    order = [*map(spell, top_names), *[OTHER_NAMES] * has_other]
    colours = [*COLOURS[: len(top_names)], *COLOURS[-1:] * has_other]
    html.draw_legend([*map(html.named, top_names), *[html.soften(OTHER_NAMES)] * has_other], colours)
    bars = [
        row
        | {
            "from": _format_start(row["start"]),
            "start": row["start"] * 1000,
            "end": (row["start"] + step_s) * 1000,
            "name": (name := OTHER_NAMES if row["is_other"] else spell(row["name"])),
            "rank": order.index(name),
            "label": OTHER_NAMES if row["is_other"] else shorten(row["name"]) or ABSENT_NAME,
        }
        for row in rows
    ]
    chart = (
        alt.Chart({"values": bars})
        .mark_bar()
        .encode(
            x=build_time_axis(span),
            x2=alt.X2("end:T"),
            y=alt.Y(f"sum({measure}):Q", title=None, stack="zero", axis=_build_axis(view, measure, bars)),
            color=alt.Color("name:N", scale=alt.Scale(domain=order, range=colours), legend=None),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("from:N", title="From, UTC"),
                alt.Tooltip("label:N", title=view.dimension.capitalize()),
                alt.Tooltip("spend:Q", title=f"Spend, {view.currency}", format=",.6~f"),
                alt.Tooltip("tokens:Q", title="Tokens", format=","),
                alt.Tooltip("calls:Q", title="Calls", format=","),
            ],
        )
        .properties(height=280)
    )
    st.altair_chart(chart, width="stretch")
    if span != view.period.now:
        html.draw_note(f"The chart shows {periods.format_span(span)}; the figures, all of the period.")


def _build_axis(view: View, measure: str, bars: Sequence[Row]) -> alt.Axis:
    heights: dict[int, float] = {}
    for bar in bars:
        heights[bar["start"]] = heights.get(bar["start"], 0) + (bar[measure] or 0)
    return build_amount_axis(max(heights.values()), view.currency if measure == "spend" else None)


def draw_buckets(amounts: Sequence[Decimal], span: Span, bucket_s: int, currency: str) -> None:
    """Draw bars of a budget's spend in each bucket of its window (``bucket_s`` long), the oldest first."""
    if not any(amounts):
        st.caption("No spend in the window.")
        return
    start = int(span.start.timestamp())
    bars = [
        {
            "from": _format_start(start + index * bucket_s),
            "start": (start + index * bucket_s) * 1000,
            "end": (start + (index + 1) * bucket_s) * 1000,
            "spend": float(amount),
        }
        for index, amount in enumerate(amounts)
    ]
    axis = build_amount_axis(float(max(amounts)), currency)
    chart = (
        alt.Chart({"values": bars})
        .mark_bar(color=COLOURS[0])
        .encode(
            x=build_time_axis(span),
            x2=alt.X2("end:T"),
            y=alt.Y("sum(spend):Q", title=None, stack="zero", axis=axis),
            tooltip=[
                alt.Tooltip("from:N", title="From, UTC"),
                alt.Tooltip("spend:Q", title=f"Spend, {currency}", format=",.12~f"),
            ],
        )
        .properties(height=220)
    )
    st.altair_chart(chart, width="stretch")


def build_time_axis(span: Span, zone: tzinfo = UTC) -> alt.X:
    """Return the axis of a chart's time, over all of a span, as the clocks of a zone show it."""
    # numbers would be read as another domain for the ends of the bars, and the browser would warn of two
    domain = [alt.ExprRef(str(to_wall_ms(time.astimezone(zone)))) for time in span]
    scale = alt.Scale(type="utc", domain=domain, nice=False, clamp=True)
    axis = alt.Axis(format=TICK_FORMATS, grid=False, tickCount=8, labelOverlap=True)
    return alt.X("start:T", title=None, scale=scale, axis=axis)


def to_wall_ms(time: datetime) -> int:
    """Return the time on the clocks of its zone as if they were those of UTC, which a chart's axis has."""
    return int(time.replace(tzinfo=UTC).timestamp()) * 1000


def build_amount_axis(greatest: float, currency: str | None = None) -> alt.Axis:
    """Return the axis of amounts up to a greatest one, whose ticks differ however small they are; of counts, with whole
    numbers alone, where the currency is None."""
    if currency is None:
        number = "format(datum.value, datum.value < 1000 ? ',' : ',.3~s')"
        return alt.Axis(labelExpr=number, tickCount=4, tickMinStep=1)
    digits = max(2, 2 - Decimal(greatest).adjusted()) if greatest else 2
    number = f"format(datum.value, ',.{digits}{'~' * (digits > 2)}f')"
    before, after = (SIGNS[currency], "") if currency in SIGNS else ("", f" {currency}".rstrip())
    return alt.Axis(labelExpr=f'"{before}" + {number} + {json.dumps(after)}', tickCount=4)


def _format_start(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%-d %b %Y, %H:%M:%S}"
