"""Charts over time. A chart may use floats; the figures beside it do not."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import altair as alt
import streamlit as st

from dashboards import periods
from dashboards.components import html
from dashboards.components.format import SIGNS
from dashboards.periods import Span
from dashboards.sources import usage
from dashboards.sources.usage import View
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
    span = view.period.now
    step_s = periods.choose_bar_s(span)
    top_names = list(names[:MAX_GROUPS])
    rows = usage.list_bars(view, span, step_s, top_names)
    if not rows:
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
    number_format = _build_money_format(view.currency) if measure == "spend" else ",.3~s"
    chart = (
        alt.Chart({"values": bars})
        .mark_bar(binSpacing=1)
        .encode(
            x=_build_time_axis(span),
            x2=alt.X2("end:T"),
            y=alt.Y(f"sum({measure}):Q", title=None, stack="zero", axis=alt.Axis(format=number_format, tickCount=4)),
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


def draw_buckets(amounts: Sequence[Decimal], span: Span, bucket_s: int, currency: str) -> None:
    """Draw bars of a budget's spend in each bucket of its window (``bucket_s`` long), the oldest first."""
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
    chart = (
        alt.Chart({"values": bars})
        .mark_bar(binSpacing=1, color=COLOURS[0])
        .encode(
            x=_build_time_axis(span),
            x2=alt.X2("end:T"),
            y=alt.Y(
                "sum(spend):Q",
                title=None,
                stack="zero",
                axis=alt.Axis(format=_build_money_format(currency), tickCount=4),
            ),
            tooltip=[
                alt.Tooltip("from:N", title="From, UTC"),
                alt.Tooltip("spend:Q", title=f"Spend, {currency}", format=",.6~f"),
            ],
        )
        .properties(height=220)
    )
    st.altair_chart(chart, width="stretch")


def _build_time_axis(span: Span) -> alt.X:
    domain = [span.start.timestamp() * 1000, span.end.timestamp() * 1000]
    scale = alt.Scale(type="utc", domain=domain, nice=False, clamp=True)
    axis = alt.Axis(format=TICK_FORMATS, grid=False, tickCount=8, labelOverlap=True)
    return alt.X("start:T", title=None, scale=scale, axis=axis)


def _build_money_format(currency: str) -> str:
    return f"{SIGNS.get(currency, '')},.4~f"


def _format_start(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%-d %b %Y, %H:%M:%S}"
