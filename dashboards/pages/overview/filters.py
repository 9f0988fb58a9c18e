"""Controls of the page Overview. Each is bound to the address, so that every view is a link."""

from datetime import date
from typing import NamedTuple

import streamlit as st

from dashboards.components.controls import pick_currency, pick_days, pick_period
from dashboards.periods import Span
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
        """Return the parameters of a link to the same selection."""
        return self._build_scope() | self.filters | {"show": st.query_params.get("show", "")}

    def to_explore_parameters(self, dimension: str) -> dict[str, object]:
        """Return the parameters of a link to the page Explore with the same selection."""
        filters = [f"{name}:{value}" for name, values in self.filters.items() for value in values]
        return self._build_scope() | {"by": dimension, "filter": filters}

    def _build_scope(self) -> dict[str, object]:
        days = [day.isoformat() for day in self.days] if self.period == "range" else []
        return {"period": self.period, "range": days, "currency": st.query_params.get("currency", "")}


def choose(data: Span) -> Choice:
    """Draw the period and the filters, and return their values."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="period_row"):
        period = pick_period(data)
        days = pick_days(data) if period == "range" else ()
    with st.container(horizontal=True, vertical_alignment="bottom", key="filter_row"):
        selection = {name: _pick_filter(name) for name in FILTERS[:3]}
        with st.popover("More"):
            for name in (*FILTERS[3:], "organization"):
                selection[name] = _pick_filter(name)
            currency = pick_currency()
    return Choice(period, days, {name: values for name, values in selection.items() if values}, currency)


def _pick_filter(dimension: str) -> list[str]:
    options = usage.list_values(dimension)
    return st.multiselect(
        dimension.capitalize(), options, key=dimension, placeholder=f"All {_pluralize(dimension)}",
        label_visibility="collapsed", bind="query-params", accept_new_options=True,
    )  # fmt: skip


def _pluralize(name: str) -> str:
    return f"{name}s"
