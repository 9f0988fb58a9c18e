"""From file to ClickHouse, against chDB reading the same file: ``python -m benchmarks.end_to_end [LINES]``.

The product imports with every service running, and ends when the last line stands in ``tally.entries``: appended
durably, deduplicated, priced, checked against budgets, and stored with its position. chDB alone parses the
columns and stores them. Both start with their processes running.
"""

import sys
import tempfile
import time
from pathlib import Path

import chdb

from benchmarks.harness import workload
from ingest.files.importer import Options, import_files
from ledger.settings import Settings
from tally.processes.join import needing
from tally.processes.service import list_pipeline_services
from tally.session import opened
from warehouse.client import connect


def main(lines: int = 100_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = workload.write_trace(Path(folder) / "trace.csv", lines)
        durations_s = {
            "tallystick": _measure_product(Path(folder) / "home", file, lines),
            "chDB alone": _measure_chdb(folder, file, lines),
        }
    for name, duration_s in durations_s.items():
        print(f"{name:12} {lines / duration_s:12,.0f} lines/s")
    print(f"tallystick / chDB alone: {durations_s['chDB alone'] / durations_s['tallystick']:.4f}")


def _measure_product(home: Path, file: Path, lines: int) -> float:
    settings = Settings(home=home, warehouse=None, warehouse_port=0)
    with opened(settings, new=True) as log, needing(settings, list_pipeline_services(settings)) as services:
        client = connect(settings)
        start = time.perf_counter()
        import_files(log, settings, [file], Options(sets=["model=gpt-4o", "team=search"]))
        while client.command("SELECT uniqExact(offset, seq) FROM tally.entries") != lines:
            for service in services:
                service.check()
            time.sleep(0.02)
        return time.perf_counter() - start


def _measure_chdb(folder: str, file: Path, lines: int) -> float:
    connection = chdb.connect(f"{folder}/alone")
    connection.query("CREATE DATABASE alone")
    connection.query(
        "CREATE TABLE alone.calls (TIMESTAMP DateTime64(7, 'UTC'), ContextTokens UInt64, GeneratedTokens UInt64)"
        " ENGINE = MergeTree ORDER BY TIMESTAMP"
    )
    start = time.perf_counter()
    connection.query(f"INSERT INTO alone.calls SELECT * FROM file('{file}', CSVWithNames)")
    duration_s = time.perf_counter() - start
    row_count = connection.query("SELECT count() FROM alone.calls", "TSV").bytes()
    assert int(row_count) == lines, row_count
    connection.close()
    return duration_s


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
