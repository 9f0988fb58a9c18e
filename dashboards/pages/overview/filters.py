"""Controls of the page Overview. Each is bound to the address, so that every view is a link."""

from datetime import UTC, date, datetime
from typing import NamedTuple

import streamlit as st

from dashboards.periods import PERIODS, Span, choose_period
from dashboards.sources import usage
from ledger.dimensions import FILTERS

DIMENSIONS = FILTERS
MEASURES = ("spend", "tokens", "calls")
CALL_ORDERS = ("newest", "most expensive", "cost not known")


class Choice(NamedTuple):
    """The values of the controls; the period is resolved anew at each refresh, since *now* moves."""

    period: str
    days: tuple[date, ...]
    filters: dict[str, list[str]]
    currency: str

    def to_parameters(self) -> dict[str, object]:
        """Return the parameters of a link to the same view."""
        days = {"range": [day.isoformat() for day in self.days]} if self.period == "range" else {}
        return {"period": self.period, **days, **self.filters}

    def to_explore_parameters(self, dimension: str) -> dict[str, object]:
        """Return the parameters of a link to the page Explore with the same selection."""
        days = {"range": [day.isoformat() for day in self.days]} if self.period == "range" else {}
        filters = [f"{name}:{value}" for name, values in self.filters.items() for value in values]
        return {"period": self.period, **days, "by": dimension, "filter": filters}


def choose(data: Span) -> Choice:
    """Draw the period and the filters, and return their values."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="period_row"):
        if "opens_with" not in st.session_state:  # the same all session long, though the data move on
            st.session_state.opens_with = choose_period(datetime.now(UTC), data)
        period = st.segmented_control(
            "Period", list(PERIODS), key="period", default=st.session_state.opens_with, required=True,
            label_visibility="collapsed", bind="query-params",
        )  # fmt: skip
        days: tuple[date, ...] = ()
        if period == "range":
            dates = st.date_input(
                "Days", (data.start.date(), data.end.date()), key="range", label_visibility="collapsed",
                bind="query-params", width=240, format="YYYY-MM-DD",
            )  # fmt: skip
            days = dates if isinstance(dates, tuple) else ()
    with st.container(horizontal=True, vertical_alignment="bottom", key="filter_row"):
        selection = {name: _pick_filter(name) for name in FILTERS[:3]}
        with st.popover("More"):
            for name in (*FILTERS[3:], "organization"):
                selection[name] = _pick_filter(name)
            currency = _pick_currency()
    return Choice(period or "all", days, {name: values for name, values in selection.items() if values}, currency)


def _pick_filter(dimension: str) -> list[str]:
    options = usage.list_values(dimension)
    return st.multiselect(
        dimension.capitalize(), options, key=dimension, placeholder=f"All {_pluralize(dimension)}",
        label_visibility="collapsed", bind="query-params", accept_new_options=True,
    )  # fmt: skip


def _pick_currency() -> str:
    options = usage.list_currencies() or ["USD"]
    if len(options) == 1:
        return options[0]
    return st.selectbox("Currency", options, key="currency", bind="query-params")


def _pluralize(name: str) -> str:
    return f"{name}s"
