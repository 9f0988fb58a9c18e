"""The app's connection to the warehouse: read-only queries of the dbt marts.

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
Parameters = ParamSpec("Parameters")
MAX_AGE_S = 2
"""Greatest age of an answer, which all viewers of the same view share."""

STATE_AGE_S = 0.5
"""Of these, the part within which what is stored is not asked for again."""


class WarehouseUnavailable(Exception):
    """The warehouse does not answer now: it is stopped, or restarting, or its models are not built yet."""


class Warehouse(BaseConnection[Client]):
    """Queries the warehouse of the home; after a failure the next query connects anew."""

    def _connect(self, **_: Any) -> Client:
        from warehouse.client import connect

        return connect(Settings())

    def query(self, sql: str, parameters: dict[str, Any]) -> list[Row]:
        """Return the answer, a dict for each row. Values are parameters (``{name:Type}``), never part of the text."""
        try:
            return list(self._instance.query(sql, parameters=parameters, tz_mode="aware").named_results())
        except (ClickHouseError, HTTPError, OSError):
            self.reset()
            raise


def ask(sql: str, **parameters: Any) -> list[Row]:
    """Query, or return an answer at most ``MAX_AGE_S`` old. WarehouseUnavailable where there is none."""
    return _ask(str(home().resolve()), sql, parameters)


def ask_slowly(sql: str, **parameters: Any) -> list[Row]:
    """Query as ``ask`` does, with answers up to half a minute old, for queries that take long."""
    return _ask_slowly(str(home().resolve()), sql, parameters)


def home() -> Path:
    """Return the home whose pages these are."""
    return Settings().home


@st.cache_data(ttl=MAX_AGE_S - STATE_AGE_S, show_spinner=False, max_entries=500)
def _ask(home: str, sql: str, parameters: dict[str, Any]) -> list[Row]:
    return _query_unless_unchanged(home, sql, parameters)


@st.cache_data(ttl=30, show_spinner=False, max_entries=500)
def _ask_slowly(home: str, sql: str, parameters: dict[str, Any]) -> list[Row]:
    return _query_unless_unchanged(home, sql, parameters)


def _query_unless_unchanged(home: str, sql: str, parameters: dict[str, Any]) -> list[Row]:
    """Query, or return the last answer where nothing was stored since: marts follow from what is stored, and from no
    clock, so a statement that asks for the time itself is always sent."""
    if "now()" in sql:
        return _query(home, sql, parameters)
    state = _read_state(home)  # before the answer: what is stored in between is read again
    return _ask_at(home, state, sql, parameters)


@st.cache_data(ttl=600, show_spinner=False, max_entries=200)
def _ask_at(home: str, state: str, sql: str, parameters: dict[str, Any]) -> list[Row]:
    return _query(home, sql, parameters)


@st.cache_data(ttl=STATE_AGE_S, show_spinner=False, max_entries=8)
def _read_state(home: str) -> str:
    """Return what identifies the tables and views with all that is stored: each insert has a number greater than those
    before it, which merges keep, and a table that replaces another has an id of its own."""
    (row,) = _query(home, _STATE, {})
    return str(row["state"])


_STATE = """
    select toString(sipHash128(arraySort(groupArray(identity)))) as state from (
        select toString((database, table, partition_id, max(max_block_number), max(data_version), sum(rows)))
            as identity
        from system.parts
        where database in ('tally', 'analytics') and active
        group by database, table, partition_id
        union all
        select toString((database, name, uuid, metadata_modification_time)) as identity
        from system.tables
        where database in ('tally', 'analytics')
    )
"""


def _query(home: str, sql: str, parameters: dict[str, Any]) -> list[Row]:
    try:
        warehouse = st.connection("warehouse", type=Warehouse, home=home)
        return warehouse.query(sql, parameters)
    except (ClickHouseError, HTTPError, TallyError, OSError) as error:
        raise WarehouseUnavailable(str(error)) from error


def guard_page(page: Callable[Parameters, None], *, retries: bool = True) -> Callable[Parameters, None]:
    """Wrap a page so that it says when the warehouse is unavailable, and draws itself again (``retries``) when it is
    back."""

    @wraps(page)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            page(*args, **kwargs)
        except WarehouseUnavailable as error:
            st.info(
                "The warehouse does not answer. The figures return as soon as it does.",
                icon=":material/cloud_off:",
            )
            with st.expander("Details"):
                st.code(str(error)[:2000], language=None, wrap_lines=True)
            if retries:
                _poll()

    return wrapper


def guard_fragment(fragment: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Wrap a page's live fragment in the same way. It runs again anyway, and a fragment within it would outlive its
    place in the page, at which the browser gives up the whole page."""
    return guard_page(fragment, retries=False)


@st.fragment(run_every=MAX_AGE_S)
def _poll() -> None:
    try:
        _query(str(home().resolve()), "select 1", {})
    except WarehouseUnavailable:
        return
    st.rerun()
