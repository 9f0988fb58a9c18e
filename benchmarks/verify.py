"""Verifying a day beside what was verified before: ``python -m benchmarks.verify [EVENTS_BEFORE] [EVENTS]``.

All events are of one organization, so of one partition of the log: the longest case, where one process recomputes and
the other reads the topics. Seconds are printed beside the processor time of both together, which other processes on the
machine change less.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from audit.verify.verify import verify
from benchmarks.harness import workload
from benchmarks.harness.embedded import fold_ledger, running_warehouse
from ledger.home.layout import SINK
from ledger.log import Log
from ledger.log.topics import DERIVED
from ledger.settings import Settings
from warehouse.client import connect
from warehouse.migrate import migrate
from warehouse.sink import Sink


def main(events_before: int = 200_000, events: int = 100_000) -> None:
    """Fold and store a ledger, and verify it as far as a day before its end, to its end, once more, and as a whole."""
    with tempfile.TemporaryDirectory() as folder:
        settings, log = fold_ledger(Path(folder), workload.build_records(events_before + events))
        with running_warehouse(settings):
            client = connect(settings)
            migrate(client)
            sink = Sink(client, log, settings)
            while sink.step():
                pass
            stored = SINK.path(settings.home).read_text()
            last_offset = events_before // workload.EVENTS_PER_RECORD
            earlier = {topic.name: {"0": last_offset} for topic in DERIVED}
            SINK.path(settings.home).write_text(json.dumps(json.loads(stored) | earlier))
            _measure("all before", settings, log, events_before)
            SINK.path(settings.home).write_text(stored)
            _measure("the day", settings, log, events)
            _measure("nothing new", settings, log, 0)
            _measure("everything (--all)", settings, log, events_before + events, is_full=True)


def _measure(name: str, settings: Settings, log: Log, events: int, *, is_full: bool = False) -> None:
    start, start_cpu = time.perf_counter(), _read_processor_time()
    report = verify(settings, log, connect(settings), is_full=is_full)
    seconds, cpu_seconds = time.perf_counter() - start, _read_processor_time() - start_cpu
    assert report.difference is None, report.difference
    each = f", {cpu_seconds / events * 1e6:5.0f} us an event" if events else ""
    print(f"{name:20} {events:9,} events {seconds:7.1f} s, processor {cpu_seconds:7.1f} s{each}")


def _read_processor_time() -> float:
    """Return the processor time of this process and of those that have ended; ClickHouse's is not in it."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
