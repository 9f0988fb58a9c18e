"""Controls for several pages, bound to the address."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Literal

import streamlit as st

from dashboards.periods import PERIODS, Span, choose_period
from dashboards.sources import usage


def pick(label: str, options: Sequence[str], key: str) -> str:
    """Show a choice of words, bound to the address, and return the selected one."""
    choice = st.segmented_control(
        label,
        options,
        key=key,
        default=options[0],
        required=True,
        label_visibility="collapsed",
        bind="query-params",
    )
    return choice or options[0]


def read_pick(options: Sequence[str], key: str) -> str:
    """Return the selected word of a choice that ``pick`` shows further below."""
    choice: str = st.session_state.get(key) or st.query_params.get(key) or options[0]
    return choice if choice in options else options[0]


def pick_period(data: Span, periods: Sequence[str] = PERIODS) -> str:
    """Show a choice of periods, and return the name of the selected one."""
    if "opens_with" not in st.session_state:  # the same all session long, though the data move on
        st.session_state.opens_with = choose_period(datetime.now(UTC), data)
    period = st.segmented_control(
        "Period", periods, key="period", default=st.session_state.opens_with, required=True,
        label_visibility="collapsed", bind="query-params",
    )  # fmt: skip
    return period or "all"


def pick_days(data: Span) -> tuple[date, ...]:
    """Show a choice of the first and the last day of a range, and return those that are selected."""
    days = st.date_input(
        "Days", (data.start.date(), data.end.date()), key="range", label_visibility="collapsed",
        bind="query-params", width=240, format="YYYY-MM-DD",
    )  # fmt: skip
    return days if isinstance(days, tuple) else ()


def pick_currency(label_visibility: Literal["visible", "collapsed"] = "visible") -> str:
    """Show a choice of currencies where the ledger has several, and return the selected one."""
    options = usage.list_currencies() or ["USD"]
    if len(options) == 1:
        return options[0]
    return str(
        st.selectbox("Currency", options, key="currency", bind="query-params", label_visibility=label_visibility)
    )
