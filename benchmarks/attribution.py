"""Questions to the marts of attribution on a large ledger: ``python -m benchmarks.attribution [CALLS] [HOME]``.

The ledger is that of ``benchmarks.pages``: calls in trees of ten, one in sixteen of which names a parent that comes
later. Printed are the time until its calls are placed in their trees, and of each question the median and the 95th
percentile of ``benchmarks.pages.OPENINGS`` runs with the processor time of the warehouse. A ``HOME`` that is filled
already is measured as it is.
"""

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from clickhouse_connect.driver.client import Client

from benchmarks.harness.embedded import running_warehouse
from benchmarks.pages import Duration, fill, measure
from ledger.settings import Settings
from tally.dbt_models import build_models
from warehouse.client import connect
from warehouse.migrate import migrate

QUESTIONS = {
    "the most expensive trees of a week": "SELECT tree_key, agent, owner_team, steps, depth, currency, billed_cost,"
    " retry_cost FROM analytics.fct_call_trees WHERE started_at >= '2026-10-24' ORDER BY billed_cost DESC LIMIT 20",
    "the steps of one tree": "SELECT * FROM analytics.fct_call_steps WHERE tree_key = '3-10-10' ORDER BY depth",
    "the sum of all steps": "SELECT sum(billed_cost), sum(subtree_calls) FROM analytics.fct_call_steps",
    "all calls by owner": "SELECT owner_team, sum(billed_cost) FROM analytics.fct_attributed_calls GROUP BY owner_team",
    "all calls by a tag": "SELECT tag_value, currency, sum(billed_cost) FROM analytics.fct_tagged_usage"
    " WHERE tag_key = 'epic' GROUP BY tag_value, currency",
    "observations": "SELECT count() FROM analytics.fct_observations",
    "costs of outcomes": "SELECT count(), sum(billed_cost) FROM analytics.fct_outcome_costs",
    "unit costs of all months": "SELECT unit, sum(billed_cost), sum(units) FROM analytics.fct_unit_costs GROUP BY unit",
}


def main(calls: int, folder: str | None) -> None:
    """Fill a warehouse unless it is filled, and measure."""
    with ExitStack() as stack:
        home = Path(folder or stack.enter_context(tempfile.TemporaryDirectory()))
        is_filled = (home / "warehouse").exists()
        home.mkdir(parents=True, exist_ok=True)
        settings = Settings(home=home, warehouse=None, warehouse_port=0)
        stack.enter_context(running_warehouse(settings))
        client = connect(settings)
        if not is_filled:
            migrate(client)
            fill(client, calls)
        start_s = time.perf_counter()
        build_models(settings)
        print(f"models and rollups built in {time.perf_counter() - start_s:.1f} s")
        print(f"{'':40} {'median':>8} {'p95':>8} {'processor':>10}")
        for title, sql in QUESTIONS.items():
            print(f"{title:40} {_ask(settings, client, sql)}")


def _ask(settings: Settings, client: Client, sql: str) -> Duration:
    return measure(settings, lambda: client.query(sql))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_300_000, sys.argv[2] if len(sys.argv) > 2 else None)
