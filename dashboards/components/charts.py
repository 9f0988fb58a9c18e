"""Charts over time. A chart may use floats; the figures beside it do not."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

import altair as alt
import streamlit as st

from dashboards import periods
from dashboards.components import html
from dashboards.components.bar_chart import Section, draw_bars
from dashboards.components.format import SIGNS, exact
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
    sections = [_build_section(view, row, measure, step_s, order, colours) for row in rows]
    sections.sort(key=lambda section: (section.start, colours.index(section.colour)))
    draw_bars(
        sections, *_read_clocks(span), f"{measure.capitalize()} by {view.dimension} over time",
        view.currency if measure == "spend" else None,
    )  # fmt: skip
    if span != view.period.now:
        html.draw_note(f"The chart shows {periods.format_span(span)}; the figures, all of the period.")


def _build_section(
    view: View, row: Row, measure: str, step_s: int, order: Sequence[str], colours: Sequence[str]
) -> Section:
    name = OTHER_NAMES if row["is_other"] else spell(row["name"])
    label = OTHER_NAMES if row["is_other"] else shorten(row["name"]) or ABSENT_NAME
    hint = (
        f"From {_format_start(row['start'])} UTC",
        f"{view.dimension.capitalize()}: {label}",
        f"Spend: {exact(_read_amount(row['spend']), view.currency)}",
        f"Tokens: {row['tokens']:,}",
        f"Calls: {row['calls']:,}",
    )
    start = _read_start(row["start"])
    end = start + timedelta(seconds=step_s)
    return Section(start, end, float(row[measure] or 0), colours[order.index(name)], hint)


def draw_buckets(amounts: Sequence[Decimal], span: Span, bucket_s: int, currency: str) -> None:
    """Draw bars of a budget's spend in each bucket of its window (``bucket_s`` long), the oldest first."""
    if not any(amounts):
        st.caption("No spend in the window.")
        return
    first = int(span.start.timestamp())
    sections = [
        Section(
            _read_start(first + index * bucket_s),
            _read_start(first + (index + 1) * bucket_s),
            float(amount),
            COLOURS[0],
            (f"From {_format_start(first + index * bucket_s)} UTC", f"Spend: {exact(amount, currency)}"),
        )
        for index, amount in enumerate(amounts)
    ]
    draw_bars(sections, *_read_clocks(span), "Spend by bucket of the window", currency)


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


def _read_amount(amount: float | None) -> Decimal | None:
    """Return an amount of a chart with the digits that it has as a float; None of usage without a price."""
    return None if amount is None else Decimal(str(amount))


def _read_clocks(span: Span) -> tuple[datetime, datetime]:
    return span.start.replace(tzinfo=None), span.end.replace(tzinfo=None)


def _read_start(seconds: int) -> datetime:
    """Return the time on the clocks of UTC, as the axis of a chart has it."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _format_start(seconds: int) -> str:
    return f"{_read_start(seconds):%-d %b %Y, %H:%M:%S}"
