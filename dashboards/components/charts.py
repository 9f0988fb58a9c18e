"""Charts over time. A picture may use floats; the figures beside it do not."""

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
from dashboards.spelling import NONE, OTHER, shorten, spell
from dashboards.theme import COLOURS

MOST = 8
TICKS = {
    "year": "%b %Y",
    **dict.fromkeys(("quarter", "month"), "%b"),
    **dict.fromkeys(("week", "date", "day"), "%-d %b"),
    **dict.fromkeys(("hours", "minutes"), "%H:%M"),
    "seconds": "%H:%M:%S",
}
"""How a tick is written, by the coarsest unit that it begins."""


def over_time(view: View, names: Sequence[str], show: str) -> None:
    """Stacked bars of spend, tokens or calls over the whole period, the largest groups by name."""
    drawn = view.period.now
    size = periods.step(drawn)
    named = list(names[:MOST])
    rows = usage.series(view, drawn, size, named)
    if not rows:
        return
    others = any(row["is_other"] for row in rows)
    order = [*map(spell, named), *[OTHER] * others]
    colours = [*COLOURS[: len(named)], *COLOURS[-1:] * others]
    html.legend([*map(html.named, named), *[html.soft(OTHER)] * others], colours)
    bars = [
        row
        | {
            "from": _from(row["start"]),
            "start": row["start"] * 1000,
            "end": (row["start"] + size) * 1000,
            "name": (name := OTHER if row["is_other"] else spell(row["name"])),
            "rank": order.index(name),
            "label": OTHER if row["is_other"] else shorten(row["name"]) or NONE,
        }
        for row in rows
    ]
    form = _money(view.currency) if show == "spend" else ",.3~s"
    chart = (
        alt.Chart({"values": bars})
        .mark_bar(binSpacing=1)
        .encode(
            x=_over(drawn),
            x2=alt.X2("end:T"),
            y=alt.Y(f"sum({show}):Q", title=None, stack="zero", axis=alt.Axis(format=form, tickCount=4)),
            color=alt.Color("name:N", scale=alt.Scale(domain=order, range=colours), legend=None),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("from:N", title="From, UTC"),
                alt.Tooltip("label:N", title=view.by.capitalize()),
                alt.Tooltip("spend:Q", title=f"Spend, {view.currency}", format=",.6~f"),
                alt.Tooltip("tokens:Q", title="Tokens", format=","),
                alt.Tooltip("calls:Q", title="Calls", format=","),
            ],
        )
        .properties(height=280)
    )
    st.altair_chart(chart, width="stretch")


def by_bucket(amounts: Sequence[Decimal], span: Span, size: int, currency: str) -> None:
    """Bars of a budget's spend in each bucket of its window (``size`` in seconds), the oldest first."""
    start = int(span.start.timestamp())
    bars = [
        {
            "from": _from(start + at * size),
            "start": (start + at * size) * 1000,
            "end": (start + (at + 1) * size) * 1000,
            "spend": float(amount),
        }
        for at, amount in enumerate(amounts)
    ]
    chart = (
        alt.Chart({"values": bars})
        .mark_bar(binSpacing=1, color=COLOURS[0])
        .encode(
            x=_over(span),
            x2=alt.X2("end:T"),
            y=alt.Y("sum(spend):Q", title=None, stack="zero", axis=alt.Axis(format=_money(currency), tickCount=4)),
            tooltip=[
                alt.Tooltip("from:N", title="From, UTC"),
                alt.Tooltip("spend:Q", title=f"Spend, {currency}", format=",.6~f"),
            ],
        )
        .properties(height=220)
    )
    st.altair_chart(chart, width="stretch")


def _over(span: Span) -> alt.X:
    domain = [span.start.timestamp() * 1000, span.end.timestamp() * 1000]
    scale = alt.Scale(type="utc", domain=domain, nice=False, clamp=True)
    axis = alt.Axis(format=TICKS, grid=False, tickCount=8, labelOverlap=True)
    return alt.X("start:T", title=None, scale=scale, axis=axis)


def _money(currency: str) -> str:
    return f"{SIGNS.get(currency, '')},.4~f"


def _from(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%-d %b %Y, %H:%M:%S}"
