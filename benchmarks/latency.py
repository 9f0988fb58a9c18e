"""From an event to its row in ClickHouse, against the insert of such a row alone.

``python -m benchmarks.latency [--kafka] [--rate A_SECOND] [--events N]``. Calls arrive at random moments, so many a
second, and are appended as a gateway would: every record holds what arrived in 10 ms. A moment counts from when a call
arrives until a query shows it; the query runs all the time, so its own length is part of the figure. The bare insert
puts the derived lines of one record into an empty table of the same kind and asks for them. The first events of a
start, when nothing is warm, are reported separately. With ``--kafka`` the log is on the home's own broker.
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
from tally.processes.service import list_pipeline_services
from tally.session import opened
from warehouse.client import connect

INSERT_COUNT = 300
COLD_S = 2
"""Events of so many seconds after a start are reported separately."""
BATCH_WINDOW_S, MAX_BATCH_EVENTS = 0.01, 500
"""Window in which calls are gathered into one record, and the limit of its events."""


def main(events: int, per_second: float, kafka: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), log="kafka://" if kafka else None, warehouse=None, warehouse_port=0)
        with opened(settings, new=True) as log, needing(settings, list_pipeline_services(settings)):
            latencies = _measure_product(settings, log, events, per_second)
            insert_durations = _measure_insert(connect(settings), log)
    cold_count = int(COLD_S * per_second)
    print(f"{events:,} events, {per_second:,.0f} a second, {'on Kafka' if kafka else 'embedded'}")
    figures = {
        "event to visible": latencies[cold_count:],
        f"the first {COLD_S} s": latencies[:cold_count],
        "insert and ask": insert_durations,
    }
    for name, seconds in figures.items():
        quantiles = statistics.quantiles(seconds, n=100)
        print(f"{name:16} p50 {quantiles[49]:6.3f} s   p99 {quantiles[98]:6.3f} s")
    ratio = statistics.median(latencies[cold_count:]) / statistics.median(insert_durations)
    print(f"event to visible / insert and ask, p50: {ratio:.1f}")


def _measure_product(settings: Settings, log: Log, events: int, per_second: float) -> list[float]:
    """Return the latency of each event, in their order."""
    first, *calls = workload.build_records(events)
    lines = [line for record in calls for line in record.value.split(b"\n")]
    chance = random.Random(1)
    arrivals: list[float] = []
    arrival = time.perf_counter() + 1
    for _ in lines:
        arrival += chance.expovariate(per_second)
        arrivals.append(arrival)
    appended: list[tuple[int, int]] = []
    """For each record: the events appended up to it, and its offset."""

    def arrive() -> None:
        sent_count = 0
        while sent_count < len(lines):
            time.sleep(BATCH_WINDOW_S)
            now = time.perf_counter()
            count = 0
            while count < MAX_BATCH_EVENTS and sent_count + count < len(lines) and arrivals[sent_count + count] <= now:
                count += 1
            if count:
                draft = Draft(0, first.key, first.headers, b"\n".join(lines[sent_count : sent_count + count]))
                sent_count += count
                (record,) = log.append(EVENTS, [draft])
                appended.append((sent_count, record.offset))

    threading.Thread(target=arrive, daemon=True).start()
    client = connect(settings)
    latencies: list[float] = []
    seen_count = 0
    while len(latencies) < len(lines):
        ((newest_offset,),) = client.query("SELECT max(offset) FROM tally.entries WHERE partition = 0").result_rows
        now = time.perf_counter()
        while seen_count < len(appended) and appended[seen_count][1] <= newest_offset:
            latencies += [now - arrival for arrival in arrivals[len(latencies) : appended[seen_count][0]]]
            seen_count += 1
    return latencies


def _measure_insert(client: Client, log: Log) -> list[float]:
    newest = log.last(ENTRIES, 0)
    assert newest
    client.command("CREATE TABLE tally.alone AS tally.entries_in ENGINE = MergeTree ORDER BY offset")
    durations: list[float] = []
    for _ in range(INSERT_COUNT):
        start = time.perf_counter()
        client.raw_insert("tally.alone", insert_block=newest.value, fmt="JSONEachRow")
        client.command("SELECT count() FROM tally.alone WHERE partition = 0 AND offset >= 0")
        durations.append(time.perf_counter() - start)
    return durations


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--events", type=int, default=2_000)
    options = parser.parse_args()
    main(options.events, options.rate, options.kafka)
