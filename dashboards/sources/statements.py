"""Statements that readers write: read-only, as the warehouse's analyst, and within limits."""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

import clickhouse_connect
import streamlit as st
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from urllib3.exceptions import HTTPError

from dashboards.sources.warehouse import WarehouseUnavailable, home
from ledger.errors import TallyError
from ledger.settings import Settings
from warehouse.client import find_analyst_address

MAX_ROWS = 10_000
"""Rows that are read of an answer; `tally sql` reads all."""
MAX_SECONDS = 30
_MESSAGE = re.compile(r"Code: \d+\..*?(?= ?\(version | ?\(for url |\s*$)", re.DOTALL)
_CLIENT_FORMAT = re.compile(r"\s*FORMAT Native\s*")


class StatementRejected(Exception):
    """The warehouse rejects a statement; the text is ClickHouse's reason."""


class Answer(NamedTuple):
    """The answer to a statement: at most ``MAX_ROWS`` rows, when they were read and how long that took."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    is_cut: bool
    read_at: datetime
    duration_s: float


def run_statement(sql: str) -> Answer:
    """Run a statement, or return an answer at most a minute old. StatementRejected where it is not possible,
    WarehouseUnavailable where nothing answers."""
    return _run(str(home().resolve()), sql)


def forget_answers() -> None:
    """Let the next statement be run anew."""
    _run.clear()


@st.cache_data(ttl=60, show_spinner="Running …", max_entries=20)
def _run(home: str, sql: str) -> Answer:
    settings = Settings()
    started_at = time.monotonic()
    try:
        address = find_analyst_address(settings)
        client = clickhouse_connect.get_client(
            dsn=address.url, username=address.user, password=address.password, autogenerate_session_id=False,
            compress=False, settings=_build_limits(settings),
        )  # fmt: skip
        try:
            with client.query_rows_stream(sql.strip().rstrip(";"), tz_mode="aware") as stream:
                rows = list(islice(stream, MAX_ROWS + 1))
                columns = tuple(stream.source.column_names)
        finally:
            client.close()
    except DatabaseError as error:
        raise StatementRejected(_format_error(str(error))) from error
    except (ClickHouseError, HTTPError, TallyError, OSError) as error:
        raise WarehouseUnavailable(str(error)) from error
    duration_s = time.monotonic() - started_at
    first_rows = [tuple(row) for row in rows[:MAX_ROWS]]
    return Answer(columns, first_rows, len(rows) > MAX_ROWS, datetime.now(UTC), duration_s)


def _build_limits(settings: Settings) -> dict[str, Any]:
    """Return the limits to send to a ClickHouse server; the embedded warehouse has them for its analyst."""
    return {"readonly": 1, "max_execution_time": MAX_SECONDS} if settings.warehouse is not None else {}


def _format_error(text: str) -> str:
    """Return ClickHouse's message without the client's words around it, its version, and what the client added."""
    match = _MESSAGE.search(text)
    message = " ".join((match[0] if match else text).replace("DB::Exception: ", "").split())
    return _CLIENT_FORMAT.sub(" ", message).strip()
