"""The rollups: dbt's models that absorb what the sink has stored, build by build, each row once.

A rollup is a table of the database ``analytics``. A view beside it, its name ending in ``_build``, holds the statement
that finds its next build, and the statement that stores one. dbt writes both (``dbt/macros/rollups.sql``). A build may
die, be repeated or come late: it admits only what lies above the rollup's own greatest positions, in one part.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from ledger.errors import TallyError
from ledger.fault_points import point
from ledger.home.locks import locked
from ledger.settings import Settings
from warehouse.call_steps import STEPS, build_call_steps
from warehouse.client import connect

DATABASE = "analytics"
BUILD_INTERVAL_S = 5.0
SHUTDOWN_TIMEOUT_S = 5.0
LOCK = "rollups.lock"
"""The lock in ``run/`` of who builds: the sink, or dbt."""

CALLS = "rollup_calls"
PENDING_ROWS = "pending_rows"
"""The name in a build's statement that the condition of the next build replaces."""


@contextmanager
def building(settings: Settings) -> Iterator[None]:
    """Build the rollups every few seconds, in a thread of their own, until the end of the context."""
    stopping = threading.Event()
    thread = threading.Thread(target=_keep_building, args=(settings, stopping), name="rollups", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(SHUTDOWN_TIMEOUT_S)  # a build that is cut off does no harm


def _keep_building(settings: Settings, stopping: threading.Event) -> None:
    """Build until ``stopping``. What fails is reported, and tried again."""
    while not stopping.wait(BUILD_INTERVAL_S):
        try:
            with locked(settings.run / LOCK):
                client = connect(settings)
                if not _is_building(client):
                    build_rollups(client, stopping)
        except (ClickHouseError, TallyError, OSError) as error:
            print(f"The rollups cannot be built; retrying in {BUILD_INTERVAL_S:g} s: {error}", flush=True)


def _is_building(client: Client) -> bool:
    """Tell whether a build of a client that is gone still runs: a ClickHouse server does not keep two apart."""
    ((count,),) = client.query(
        "SELECT count() FROM system.processes WHERE query_kind = 'Insert' AND query LIKE '%rollup%'"
    ).result_rows
    return bool(count)


def build_rollups(client: Client, stopping: threading.Event | None = None) -> None:
    """Absorb all that is stored whole into each rollup. End after a build where ``stopping`` is set."""
    builds = chain.from_iterable(build_rollup(client, name) for name in list_rollups(client))
    for _ in chain(builds, build_call_steps(client)):
        if stopping is not None and stopping.is_set():
            return


def build_call_trees(settings: Settings) -> None:
    """Absorb all calls that are stored whole into the rollups that marts of attribution read alone."""
    with locked(settings.run / LOCK):
        client = connect(settings)
        if CALLS in list_rollups(client):
            deque(chain(build_rollup(client, CALLS), build_call_steps(client)), maxlen=0)


def build_rollup(client: Client, name: str) -> Iterator[str]:
    """Absorb all that is stored whole into a rollup; yield the condition of each build once it is stored."""
    ((next_statement, build_statement),) = client.query(
        f"SELECT next_build_statement, build_statement FROM {DATABASE}.{name}_build"
    ).result_rows
    stored = ""
    while True:
        ((condition,),) = client.query(next_statement).result_rows
        if condition in ("", stored):
            return
        point("rollup.before_build")
        client.command(build_statement.replace(PENDING_ROWS, f"({condition})"))
        point("rollup.after_build")
        stored = condition
        yield condition


def list_rollups(client: Client) -> list[str]:
    """List the rollups that dbt has made; none before its first run."""
    result = client.query(
        "SELECT substring(name, 1, length(name) - 6) FROM system.tables"
        f" WHERE database = '{DATABASE}' AND engine = 'View' AND name LIKE 'rollup\\_%\\_build' ORDER BY name"
    )
    return [name for (name,) in result.result_rows]


def empty_rollups(client: Client) -> None:
    """Empty each rollup, so that marts read the tables alone until it is built again."""
    for name in list_rollups(client):
        client.command(f"TRUNCATE TABLE {DATABASE}.{name}")
    client.command(f"TRUNCATE TABLE IF EXISTS {STEPS}")
