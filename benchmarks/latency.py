"""From an event to its row in ClickHouse, against the insert of such a row alone.

``python -m benchmarks.latency [--kafka] [--rate A_SECOND] [--events N]``. Calls arrive at random moments, so many a
second, and are appended as a gateway would: every record holds what arrived in 10 ms. A moment counts from when a call
arrives until a query shows it; the query runs all the time, so its own length is part of the figure. The bare insert
puts the derived lines of one record into an empty table of the same kind and asks for them. The first events of a
start, which find nothing warm, are told apart. With ``--kafka`` the log is on the home's own broker.
"""

import argparse
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path

from clickhouse_connect.driver.client import Client

from benchmarks.harness import workload
from ledger.log import Draft, Log
from ledger.log.topics import ENTRIES, EVENTS
from ledger.settings import Settings
from tally.processes.join import needing
from tally.processes.service import storing
from tally.session import opened
from warehouse.client import connect

INSERTS = 300
COLD_S = 2
"""What arrives in so many seconds after a start is told apart."""
GATHER_S, MOST = 0.01, 500
"""How long calls are gathered into one record, and how many it takes at most."""


def main(events: int, per_second: float, kafka: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), log="kafka://" if kafka else None, warehouse=None, warehouse_port=0)
        with opened(settings, new=True) as log, needing(settings, storing(settings)):
            ours = _ours(settings, log, events, per_second)
            alone = _alone(connect(settings), log)
    cold = int(COLD_S * per_second)
    print(f"{events:,} events, {per_second:,.0f} a second, {'on Kafka' if kafka else 'embedded'}")
    figures = {"event to visible": ours[cold:], f"the first {COLD_S} s": ours[:cold], "insert and ask": alone}
    for name, seconds in figures.items():
        cuts = statistics.quantiles(seconds, n=100)
        print(f"{name:16} p50 {cuts[49]:6.3f} s   p99 {cuts[98]:6.3f} s")
    print(f"event to visible / insert and ask, p50: {statistics.median(ours[cold:]) / statistics.median(alone):.1f}")


def _ours(settings: Settings, log: Log, events: int, per_second: float) -> list[float]:
    """How long each event took, in their order."""
    first, *calls = workload.records(events)
    lines = [line for record in calls for line in record.value.split(b"\n")]
    chance = random.Random(1)
    moments: list[float] = []
    at = time.perf_counter() + 1
    for _ in lines:
        at += chance.expovariate(per_second)
        moments.append(at)
    stood: list[tuple[int, int]] = []
    """Of each record, how many events were appended up to it, and its offset."""

    def arrive() -> None:
        sent = 0
        while sent < len(lines):
            time.sleep(GATHER_S)
            now = time.perf_counter()
            count = 0
            while count < MOST and sent + count < len(lines) and moments[sent + count] <= now:
                count += 1
            if count:
                draft = Draft(0, first.key, first.headers, b"\n".join(lines[sent : sent + count]))
                sent += count
                (record,) = log.append(EVENTS, [draft])
                stood.append((sent, record.offset))

    threading.Thread(target=arrive, daemon=True).start()
    client = connect(settings)
    taken: list[float] = []
    seen = 0
    while len(taken) < len(lines):
        ((shown,),) = client.query("SELECT max(offset) FROM tally.entries WHERE partition = 0").result_rows
        now = time.perf_counter()
        while seen < len(stood) and stood[seen][1] <= shown:
            taken += [now - moment for moment in moments[len(taken) : stood[seen][0]]]
            seen += 1
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
    said = argparse.ArgumentParser()
    said.add_argument("--kafka", action="store_true")
    said.add_argument("--rate", type=float, default=50)
    said.add_argument("--events", type=int, default=2_000)
    chosen = said.parse_args()
    main(chosen.events, chosen.rate, chosen.kafka)
