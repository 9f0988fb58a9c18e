"""Bytes of an event wherever it rests, of a demo organization's calls: ``python -m benchmarks.storage_size [DAYS]``.

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
from tally.demo.history import day
from tally.processes.join import needing
from tally.processes.service import storing
from tally.product.catch_up import wait_for_sink
from tally.session import opened
from warehouse.client import connect

END = date(2026, 10, 15)
PARTS = "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'tally' GROUP BY table"


def main(days: int = 4) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "calls.ndjson"
        file.write_text("\n".join(json.dumps(event) for n in range(days) for event in day(END - timedelta(n), END)))
        settings = Settings(home=Path(folder) / "home", warehouse=None, warehouse_port=0)
        with opened(settings, new=True) as log, needing(settings, storing(settings)) as parts:
            events = import_files(log, settings, [file], Options()).accepted
            wait_for_sink(settings, log, parts)
            client = connect(settings)
            for table in ("events", "entries", "records", "decisions", "alerts"):
                client.command(f"OPTIMIZE TABLE tally.{table} FINAL")
            stored = {f"warehouse: {table}": int(held) for table, held in client.query(PARTS).result_rows}
            lines = int(str(client.command("SELECT count() FROM tally.entries")))
        recorded, derived = settings.home / "log" / "recorded.db", settings.home / "log" / "derived.db"
        found = {"as text": file.stat().st_size, f"log: {EVENTS.name}": _held(recorded, EVENTS)}
        found |= {f"log: {topic.name}": _held(derived, topic) for topic in DERIVED}
        found |= {"memory of the folds": _memory(derived)} | stored
    print(f"{events:,} events, {lines / events:.2f} entry lines each; bytes an event:")
    for name, held in found.items():
        print(f"  {name:24} {held / events:8.1f}")


def _held(path: Path, topic: Topic) -> int:
    with closing(sqlite3.connect(path)) as db:
        asked = f"SELECT ifnull(sum(length(value) + length(headers) + length(key) + 16), 0) FROM {tables.table(topic)}"
        return int(db.execute(asked).fetchone()[0])


def _memory(path: Path) -> int:
    """Identities and rows: keys, values and, roughly, their place in the file."""
    with closing(sqlite3.connect(path)) as db:
        (identities,) = db.execute(
            "SELECT ifnull(sum(length(identity) + length(content) + 16), 0) FROM identities"
        ).fetchone()
        (rows,) = db.execute("SELECT ifnull(sum(length(key) + length(value) + 16), 0) FROM rows").fetchone()
        return int(identities) + int(rows)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
