"""The marts of anomalies over rows that a simulation puts into their rollups: the rule is the SQL itself."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clickhouse_connect.driver.client import Client

from benchmarks.harness.embedded import running_warehouse
from ledger.log.sqlite.log import EmbeddedLog
from ledger.settings import Settings
from tally.dbt_models import ensure_models
from warehouse.client import connect
from warehouse.migrate import migrate

HEALTHY, INJECTED = "healthy", "injected"
"""The organizations: one as it is, and the same with what is to be found."""


@contextmanager
def built_marts() -> Iterator[Client]:
    """Run a warehouse with the models and no data, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), warehouse=None, warehouse_port=0)
        EmbeddedLog(settings.home).close()
        with running_warehouse(settings):
            client = connect(settings)
            migrate(client)
            ensure_models(settings)
            yield client


def fill_rollup(client: Client, rollup: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Put rows into a rollup, as if the log had nothing beyond them."""
    body = b"".join(json.dumps(dict(zip(columns, row, strict=True)), default=str).encode() + b"\n" for row in rows)
    client.raw_insert(f"analytics.{rollup}", insert_block=body, fmt="JSONEachRow", settings={"async_insert": 0})
