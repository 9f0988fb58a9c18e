"""The sink against the bare insert of the same bytes: ``python -m benchmarks.sink [--kafka] [--events N]``.

Both fill the same Null table through the same server; the bare insert sends the topic's bytes in equal blocks, with
nothing to read, plan, remember or announce. The tables' guards are at work in both. With ``--kafka`` the log is on a
broker of its own, folded by our worker.
"""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.harness import kafka_workers, workload
from benchmarks.harness.embedded import ledger, warehouse
from ledger.log import Log, records
from ledger.log.topics import ENTRIES
from ledger.settings import Settings
from warehouse.client import connect
from warehouse.migrate import migrate
from warehouse.sink import Sink, batches, inbox


def main(events: int, on_kafka: bool, rounds: int = 3) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        settings, log = _folded(Path(folder), events, on_kafka, stack)
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
                            client.raw_insert(inbox(client, ENTRIES), insert_block=block, fmt="JSONEachRow")
                    seconds.append(time.perf_counter() - start)
                    stored = client.command("SELECT count() FROM tally.events WHERE kind = 'inference'")
                    assert stored == events, stored
            best = {name: events / min(seconds) for name, seconds in taken.items()}
            for name, rate in best.items():
                print(f"{name:12} {rate:10,.0f} events/s, best of {rounds}")
            print(f"sink / bare insert{', on Kafka' if on_kafka else ''}: {best['sink'] / best['bare insert']:.2f}")


def _folded(home: Path, events: int, on_kafka: bool, stack: ExitStack) -> tuple[Settings, Log]:
    records = workload.records(events)
    if not on_kafka:
        return ledger(home, records)
    log = kafka_workers.new_log(stack.enter_context(kafka_workers.broker()))
    kafka_workers.fill(log, [records])
    with kafka_workers.workers(home / "workers", log) as crew:
        crew.start()
        kafka_workers.wait(lambda: kafka_workers.caught_up(log))
    return Settings(home=home, warehouse=None, warehouse_port=0), log


if __name__ == "__main__":
    said = argparse.ArgumentParser()
    said.add_argument("--kafka", action="store_true")
    said.add_argument("--events", type=int, default=100_000)
    chosen = said.parse_args()
    main(chosen.events, chosen.kafka)
