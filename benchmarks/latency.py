"""From an event to its row in ClickHouse, against the insert of such a row alone: ``python -m benchmarks.latency``.

Calls arrive at random moments, so many a second, as the doors append them. A moment counts from before a
call is appended until a query shows it; the query runs all the time, so its own length is part of the figure. The
bare insert puts the same line into an empty table of the same kind and asks for it. The first events of a start,
which find nothing warm, are told apart.
"""

import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from clickhouse_connect.driver.client import Client

from benchmarks import workload
from ledger.log import Draft, Log
from ledger.settings import Settings
from ledger.topics import ENTRIES, EVENTS
from tally.joining import needing
from tally.opening import opened
from tally.parts import storing
from warehouse.client import connect

INSERTS = 300
COLD = 100
"""So many events after a start are told apart."""


def main(events: int = 2_000, per_second: float = 50) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), warehouse=None, warehouse_port=0)
        with opened(settings, new=True) as log, needing(settings, storing(settings)):
            ours = _ours(settings, log, events, per_second)
            alone = _alone(connect(settings), log)
    cold, warm = ours[:COLD], ours[COLD:]
    for name, seconds in (("event to visible", warm), (f"the first {COLD}", cold), ("insert and ask", alone)):
        cuts = statistics.quantiles(seconds, n=100)
        print(f"{name:16} p50 {cuts[49]:6.3f} s   p99 {cuts[98]:6.3f} s")
    print(f"event to visible / insert and ask, p50: {statistics.median(warm) / statistics.median(alone):.1f}")


def _ours(settings: Settings, log: Log, events: int, per_second: float) -> list[float]:
    _, *calls = workload.records(events)
    first = log.end(EVENTS, 0)
    began: list[float] = []

    def arrive() -> None:
        chance = random.Random(1)
        for record in calls:
            for line in record.value.split(b"\n"):
                time.sleep(chance.expovariate(per_second))
                began.append(time.perf_counter())
                log.append(EVENTS, [Draft(0, record.key, record.headers, line)])

    threading.Thread(target=arrive, daemon=True).start()
    client = connect(settings)
    taken: list[float] = []
    while len(taken) < events:
        where = f"partition = 0 AND offset >= {first}"
        ((shown,),) = client.query(f"SELECT uniqExact(offset) FROM tally.entries WHERE {where}").result_rows
        now = time.perf_counter()
        taken += [now - moment for moment in began[len(taken) : shown]]
    return taken


def _alone(client: Client, log: Log) -> list[float]:
    newest = log.last(ENTRIES, 0)
    assert newest
    client.command("CREATE TABLE tally.alone AS tally.entries_in ENGINE = MergeTree ORDER BY offset")
    taken: list[float] = []
    for _ in range(INSERTS):
        start = time.perf_counter()
        client.raw_insert("tally.alone", insert_block=newest.value, fmt="JSONEachRow")
        client.command("SELECT count() FROM tally.alone WHERE partition = 0 AND offset >= 0")
        taken.append(time.perf_counter() - start)
    return taken


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
