"""The sink against the bare insert of the same bytes: ``python -m benchmarks.sink [EVENTS]``.

Both fill the same Null table through the same server; the bare insert sends the topic's bytes in equal blocks, with
nothing to read, plan, remember or announce. The tables' guards are at work in both.
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks import workload
from benchmarks.embedded import ledger, warehouse
from ledger.log import records
from ledger.topics import ENTRIES
from warehouse.client import connect
from warehouse.migrate import migrate
from warehouse.sink import INBOX, Sink, batches


def main(events: int = 100_000, rounds: int = 3) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings, log = ledger(Path(folder), workload.records(events))
        with warehouse(settings):
            client = connect(settings)
            migrate(client)
            taken: dict[str, list[float]] = {"sink": [], "bare insert": []}
            for _ in range(rounds):
                for name, seconds in taken.items():
                    for table in ("events", "entries", "records", "decisions", "alerts"):
                        client.command(f"TRUNCATE TABLE tally.{table}")
                    if name == "sink":
                        sink = Sink(client, log, settings)
                        start = time.perf_counter()
                        while sink.step():
                            pass
                    else:
                        blocks = [b"".join(batch.body()) for batch in batches(records(log, ENTRIES, 0))]
                        start = time.perf_counter()
                        for block in blocks:
                            client.raw_insert(INBOX[ENTRIES], insert_block=block, fmt="JSONEachRow")
                    seconds.append(time.perf_counter() - start)
                    stored = client.command("SELECT count() FROM tally.events WHERE kind = 'inference'")
                    assert stored == events, stored
            best = {name: events / min(seconds) for name, seconds in taken.items()}
            for name, rate in best.items():
                print(f"{name:12} {rate:10,.0f} events/s, best of {rounds}")
            print(f"sink / bare insert: {best['sink'] / best['bare insert']:.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
