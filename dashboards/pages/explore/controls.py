"""Controls of the page Explore. All state stands in the address, so that every view is a link."""

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple
from zoneinfo import available_timezones

import streamlit as st

from dashboards.components.controls import pick_currency, pick_days, pick_period
from dashboards.components.html import Html, escape_text, link
from dashboards.pages.explore import queries
from dashboards.pages.explore.answer import name_dimension, shorten_value
from dashboards.pages.explore.dimensions import DIMENSIONS, TAG, find_dimension
from dashboards.pages.explore.measures import MEASURES
from dashboards.pages.explore.queries import View
from dashboards.periods import Period, Span
from dashboards.spelling import spell

NO_DIMENSION = "nothing else"
FILTER = "filter"
"""Parameter of a link, once for each value: ``filter=team:search``."""


class Choice(NamedTuple):
    """The values of the controls; the period is resolved anew at each refresh, since *now* moves."""

    period: str
    days: tuple[date, ...]
    zone: str
    dimensions: tuple[str, ...]
    measure: str
    filters: dict[str, list[str]]
    currency: str

    def build_link(self, **changes: object) -> dict[str, object]:
        """Return the parameters of a link to the same view, with other values of these fields."""
        choice = self._replace(**changes)  # type: ignore[arg-type]
        second = choice.dimensions[1] if len(choice.dimensions) > 1 else ""
        return {
            "period": choice.period,
            "range": [day.isoformat() for day in choice.days] if choice.period == "range" else [],
            "tz": choice.zone if choice.zone != "UTC" else "",
            "by": choice.dimensions[0],
            "and": second,
            "measure": choice.measure,
            "currency": st.query_params.get("currency", ""),
            FILTER: [write_filter(name, value) for name, values in choice.filters.items() for value in values],
        }

    def build_view(self, period: Period) -> View:
        """Return the view of the choice over a period."""
        return View(period, self.zone, self.filters, self.dimensions, self.measure, self.currency)


def write_filter(name: str, value: str) -> str:
    """Write a filter as a link has it: ``team:search``, ``tag:epic:checkout``; a colon of a tag's key is ``%3A``."""
    return f"{_write_name(name)}:{value}"


def read_filters(texts: list[str]) -> dict[str, list[str]]:
    """Read the filters of a link."""
    filters: dict[str, list[str]] = {}
    for text in filter(None, texts):
        head, _, value = text.removeprefix(TAG).partition(":")
        name = f"{TAG}{head.replace('%3A', ':').replace('%25', '%')}" if text.startswith(TAG) else head
        if value not in filters.setdefault(name, []):
            filters[name].append(value)
    return filters


def _write_name(name: str) -> str:
    if not name.startswith(TAG):
        return name
    return TAG + name.removeprefix(TAG).replace("%", "%25").replace(":", "%3A")


def choose(data: Span) -> Choice:
    """Draw the controls, and return their values."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="period_row"):
        period = pick_period(data)
        days = pick_days(data) if period == "range" else ()
    filters = read_filters(st.query_params.get_all(FILTER))
    names = _list_dimensions(filters)
    with st.container(horizontal=True, vertical_alignment="bottom", key="explore_row"):
        measure = st.selectbox("Measure", [measure.name for measure in MEASURES], key="measure", bind="query-params")
        first = st.selectbox("By", names, key="by", bind="query-params", accept_new_options=True)
        second = st.selectbox("And by", [NO_DIMENSION, *names], key="and", bind="query-params", accept_new_options=True)
        zone = st.selectbox("Time zone", _list_zones(), key="tz", bind="query-params")
        currency = pick_currency()
    dimensions = (first or names[0], second) if second and second not in (NO_DIMENSION, first) else (first or names[0],)
    return Choice(period, days, zone or "UTC", dimensions, measure or MEASURES[0].name, filters, currency)


def draw_filters(choice: Choice, view: View) -> None:
    """Draw the filters in force, each with a link to the view without it, and the way to another one."""
    with st.container(horizontal=True, vertical_alignment="center", key="explore_filters"):
        with st.popover("Filter", icon=":material/filter_list:"):
            _add_filter(choice, view)
        chips = [_build_chip(choice, name, value) for name, values in choice.filters.items() for value in values]
        if chips:
            st.html(f'<div class="tally"><div class="chips">{"".join(chips)}</div></div>')


def find_unknown(choice: Choice) -> str | None:
    """Return a dimension or filter that does not exist, if there is one."""
    return next((name for name in (*choice.dimensions, *choice.filters) if find_dimension(name) is None), None)


def _add_filter(choice: Choice, view: View) -> None:
    name = st.selectbox("Filter by", _list_dimensions(choice.filters), key="filter_name", index=None)
    if not name:
        st.caption("Only usage with one of these values is counted.")
        return
    values = [spell(value) for value in queries.list_values(view, name)]
    st.multiselect(
        "Values", values, key=f"values_{name}", accept_new_options=True,
        default=[value for value in choice.filters.get(name, []) if value in values],
        on_change=_apply_filter, args=(name, choice.filters),
    )  # fmt: skip


def _apply_filter(name: str, filters: Mapping[str, list[str]]) -> None:
    selection = {**filters, name: st.session_state[f"values_{name}"]}
    st.query_params[FILTER] = [
        write_filter(dimension, value) for dimension, values in selection.items() for value in values
    ]


def _build_chip(choice: Choice, name: str, value: str) -> Html:
    filters = {
        dimension: [text for text in values if (dimension, text) != (name, value)]
        for dimension, values in choice.filters.items()
    }
    removal = link(Html("×"), "explore", choice.build_link(filters=filters), "Remove this filter")
    return Html(
        f"<span>{escape_text(name_dimension(name))}: <b>{escape_text(shorten_value(value))}</b> {removal}</span>"
    )


def _list_dimensions(filters: Mapping[str, list[str]]) -> list[str]:
    names = [dimension.name for dimension in DIMENSIONS] + queries.list_tag_keys()
    linked = [st.query_params.get("by", ""), st.query_params.get("and", ""), *filters]
    return names + [name for name in dict.fromkeys(linked) if name.startswith(TAG) and name not in names]


@st.cache_data(show_spinner=False)
def _list_zones() -> list[str]:
    return ["UTC", *sorted(name for name in available_timezones() if "/" in name)]
