"""The overview's controls. Each is bound to the address, so that every view is a link."""

from datetime import UTC, date, datetime
from typing import NamedTuple

import streamlit as st

from dashboards.periods import PERIODS, Span, default
from dashboards.sources import usage
from ledger.dimensions import FILTERS

BY = FILTERS
SHOW = ("spend", "tokens", "calls")
CALLS = ("newest", "dearest")


class Choice(NamedTuple):
    """What the controls say; the period is resolved anew at each look, since *now* moves."""

    period: str
    days: tuple[date, ...]
    chosen: dict[str, list[str]]
    currency: str

    def link(self) -> dict[str, object]:
        """The parameters of the address that shows the same."""
        days = {"range": [day.isoformat() for day in self.days]} if self.period == "range" else {}
        return {"period": self.period, **days, **self.chosen}


def choose(data: Span) -> Choice:
    """Draw the period and the filters."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="period_row"):
        if "opens_with" not in st.session_state:  # the same all session long, though the data move on
            st.session_state.opens_with = default(datetime.now(UTC), data)
        period = st.segmented_control(
            "Period", list(PERIODS), key="period", default=st.session_state.opens_with, required=True,
            label_visibility="collapsed", bind="query-params",
        )  # fmt: skip
        days: tuple[date, ...] = ()
        if period == "range":
            said = st.date_input(
                "Days", (data.start.date(), data.end.date()), key="range", label_visibility="collapsed",
                bind="query-params", width=240, format="YYYY-MM-DD",
            )  # fmt: skip
            days = said if isinstance(said, tuple) else ()
    with st.container(horizontal=True, vertical_alignment="bottom", key="filter_row"):
        chosen = {name: _filter(name) for name in FILTERS[:3]}
        with st.popover("More"):
            for name in (*FILTERS[3:], "organization"):
                chosen[name] = _filter(name)
            currency = _currency()
    return Choice(period or "all", days, {name: some for name, some in chosen.items() if some}, currency)


def _filter(dimension: str) -> list[str]:
    options = usage.choices(dimension)
    return st.multiselect(
        dimension.capitalize(), options, key=dimension, placeholder=f"All {_plural(dimension)}",
        label_visibility="collapsed", bind="query-params", accept_new_options=True,
    )  # fmt: skip


def _currency() -> str:
    options = usage.currencies() or ["USD"]
    if len(options) == 1:
        return options[0]
    return st.selectbox("Currency", options, key="currency", bind="query-params")


def _plural(name: str) -> str:
    return f"{name}s"
