"""Bytes of an event in each store, for a demo organization's calls: ``python -m benchmarks.storage_size [DAYS]``.

Each file's rows, compressed as they stand, over the number of events; beside them the events as they came, as text.
"""

import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

from ingest.files.importer import Options, import_files
from ledger.log.sqlite import tables
from ledger.log.topics import DERIVED, EVENTS, Topic
from ledger.settings import Settings
from tally.demo.history import make_day
from tally.processes.join import needing
from tally.processes.service import list_pipeline_services
from tally.product.catch_up import wait_for_sink
from tally.session import opened
from warehouse.client import connect

END = date(2026, 10, 15)
TABLE_SIZES = "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'tally' GROUP BY table"


def main(days: int = 4) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "calls.ndjson"
        file.write_text(
            "\n".join(json.dumps(event) for n in range(days) for event in make_day(END - timedelta(n), END))
        )
        settings = Settings(home=Path(folder) / "home", warehouse=None, warehouse_port=0)
        with opened(settings, new=True) as log, needing(settings, list_pipeline_services(settings)) as services:
            events = import_files(log, settings, [file], Options()).accepted
            wait_for_sink(settings, log, services)
            client = connect(settings)
            for table in ("events", "entries", "records", "decisions", "alerts"):
                client.command(f"OPTIMIZE TABLE tally.{table} FINAL")
            table_sizes = {f"warehouse: {table}": int(size) for table, size in client.query(TABLE_SIZES).result_rows}
            lines = int(str(client.command("SELECT count() FROM tally.entries")))
        recorded, derived = settings.home / "log" / "recorded.db", settings.home / "log" / "derived.db"
        sizes = {"as text": file.stat().st_size, f"log: {EVENTS.name}": _measure_topic(recorded, EVENTS)}
        sizes |= {f"log: {topic.name}": _measure_topic(derived, topic) for topic in DERIVED}
        sizes |= {"state of the folds": _measure_state(derived)} | table_sizes
    print(f"{events:,} events, {lines / events:.2f} entry lines each; bytes an event:")
    for name, size in sizes.items():
        print(f"  {name:24} {size / events:8.1f}")


def _measure_topic(path: Path, topic: Topic) -> int:
    with closing(sqlite3.connect(path)) as db:
        statement = (
            f"SELECT ifnull(sum(length(value) + length(headers) + length(key) + 16), 0) FROM {tables.table_name(topic)}"
        )
        return int(db.execute(statement).fetchone()[0])


def _measure_state(path: Path) -> int:
    """Sum the bytes of identities and state: keys, values and, roughly, their overhead in the file."""
    with closing(sqlite3.connect(path)) as db:
        (identities,) = db.execute(
            "SELECT ifnull(sum(length(identity) + length(content) + 16), 0) FROM identities"
        ).fetchone()
        (rows,) = db.execute("SELECT ifnull(sum(length(key) + length(value) + 16), 0) FROM state").fetchone()
        return int(identities) + int(rows)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
