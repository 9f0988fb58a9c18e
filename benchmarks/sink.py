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
from benchmarks.harness.embedded import fold_ledger, running_warehouse
from ledger.log import Log, records
from ledger.log.topics import ENTRIES
from ledger.settings import Settings
from warehouse.client import connect
from warehouse.migrate import migrate
from warehouse.sink import Sink, cut_batches, inbox


def main(events: int, on_kafka: bool, rounds: int = 3) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        settings, log = _fold_log(Path(folder), events, on_kafka, stack)
        with running_warehouse(settings):
            client = connect(settings)
            migrate(client)
            durations: dict[str, list[float]] = {"sink": [], "bare insert": []}
            for _ in range(rounds):
                for name, seconds in durations.items():
                    for table in ("events", "entries", "records", "decisions", "alerts"):
                        client.command(f"TRUNCATE TABLE tally.{table}")
                    if name == "sink":
                        sink = Sink(client, log, settings)
                        start = time.perf_counter()
                        while sink.step():
                            pass
                    else:
                        blocks = [b"".join(batch.body()) for batch in cut_batches(records(log, ENTRIES, 0))]
                        start = time.perf_counter()
                        for block in blocks:
                            client.raw_insert(inbox(client, ENTRIES), insert_block=block, fmt="JSONEachRow")
                    seconds.append(time.perf_counter() - start)
                    row_count = client.command("SELECT count() FROM tally.events WHERE kind = 'inference'")
                    assert row_count == events, row_count
            best_rates = {name: events / min(seconds) for name, seconds in durations.items()}
            for name, rate in best_rates.items():
                print(f"{name:12} {rate:10,.0f} events/s, best of {rounds}")
            ratio = best_rates["sink"] / best_rates["bare insert"]
            print(f"sink / bare insert{', on Kafka' if on_kafka else ''}: {ratio:.2f}")


def _fold_log(home: Path, events: int, on_kafka: bool, stack: ExitStack) -> tuple[Settings, Log]:
    records = workload.build_records(events)
    if not on_kafka:
        return fold_ledger(home, records)
    log = kafka_workers.create_log(stack.enter_context(kafka_workers.broker()))
    kafka_workers.fill(log, [records])
    with kafka_workers.create_crew(home / "workers", log) as crew:
        crew.start()
        kafka_workers.wait_until(lambda: kafka_workers.is_caught_up(log))
    return Settings(home=home, warehouse=None, warehouse_port=0), log


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    main(options.events, options.kafka)
