"""The app's connection to the warehouse: read-only questions about the dbt marts.

The module is not called ``warehouse``: Streamlit puts this folder first on the import path.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import streamlit as st
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from streamlit.connections import BaseConnection
from urllib3.exceptions import HTTPError

from ledger.errors import TallyError
from ledger.settings import Settings

Row = dict[str, Any]
Parameters = ParamSpec("Given")
MAX_AGE_S = 2
"""How old an answer may be. All who look at the same view share it."""


class WarehouseUnavailable(Exception):
    """The warehouse does not answer now: it is stopped, or restarting, or its models are not built yet."""


class Warehouse(BaseConnection[Client]):
    """Asks the warehouse of the home; after a failure the next question connects anew."""

    def _connect(self, **_: Any) -> Client:
        from warehouse.client import connect

        return connect(Settings())

    def query(self, sql: str, parameters: dict[str, Any]) -> list[Row]:
        """The answer, a dict a row. Values go as parameters (``{name:Type}``), never into the text."""
        try:
            return list(self._instance.query(sql, parameters=parameters, tz_mode="aware").named_results())
        except (ClickHouseError, HTTPError, OSError):
            self.reset()
            raise


def ask(sql: str, **parameters: Any) -> list[Row]:
    """Ask, or take an answer that is at most ``FRESH_S`` old. WarehouseAway where there is none."""
    return _ask(str(home().resolve()), sql, parameters)


def ask_slowly(sql: str, **parameters: Any) -> list[Row]:
    """Like ``ask``, for what is dear to find out and may be half a minute old."""
    return _ask_slowly(str(home().resolve()), sql, parameters)


def home() -> Path:
    """The data folder of the product that is looked at."""
    return Settings().home


@st.cache_data(ttl=MAX_AGE_S, show_spinner=False, max_entries=500)
def _ask(home: str, sql: str, parameters: dict[str, Any]) -> list[Row]:
    return _query(home, sql, parameters)


@st.cache_data(ttl=30, show_spinner=False, max_entries=500)
def _ask_slowly(home: str, sql: str, parameters: dict[str, Any]) -> list[Row]:
    return _query(home, sql, parameters)


def _query(home: str, sql: str, parameters: dict[str, Any]) -> list[Row]:
    try:
        warehouse = st.connection("warehouse", type=Warehouse, home=home)
        return warehouse.query(sql, parameters)
    except (ClickHouseError, HTTPError, TallyError, OSError) as error:
        raise WarehouseUnavailable(str(error)) from error


def guard_page(page: Callable[Parameters, None], *, retries: bool = True) -> Callable[Parameters, None]:
    """A page that says in a sentence that the warehouse is away, and looks ``again`` by itself."""

    @wraps(page)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            page(*args, **kwargs)
        except WarehouseUnavailable as error:
            st.info(
                "The warehouse does not answer at the moment. The figures come back as soon as it does.",
                icon=":material/cloud_off:",
            )
            with st.expander("What it said"):
                st.code(str(error)[:2000], language=None, wrap_lines=True)
            if retries:
                _poll()

    return wrapper


def guard_fragment(fragment: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """A page's live part, the same. It runs again anyway; and a fragment within it would be left behind with a place
    that the part no longer has, at which the browser gives up the whole page."""
    return guard_page(fragment, retries=False)


@st.fragment(run_every=MAX_AGE_S)
def _poll() -> None:
    try:
        _query(str(home().resolve()), "select 1", {})
    except WarehouseUnavailable:
        return
    st.rerun()
