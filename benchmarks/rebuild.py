"""Folding a whole Kafka log anew, with one worker and with two: ``python -m benchmarks.rebuild [EVENTS]``.

From the first event that is folded to the last. Two workers start together, so that their sharing of the partitions is
part of the figure. They take turns.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import kafka


def main(events: int = 80_000, rounds: int = 2) -> None:
    partitions = kafka.calls(events)
    rates: dict[int, list[float]] = {1: [], 2: []}
    with kafka.broker() as bootstrap, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for workers, some in rates.items():
                log = kafka.new_log(bootstrap)
                kafka.fill(log, partitions)
                with kafka.workers(Path(folder) / f"{number}-{workers}", log) as crew:
                    for worker in range(workers):
                        crew.start(worker)
                    some.append(kafka.rate(crew, lambda: kafka.events_folded(log), events))  # noqa: B023  (called at once)
                log.close()
    for workers, some in rates.items():
        print(f"{workers} worker{'s'[: workers - 1]:1} {kafka.told(some)}")
    print(f"two workers / one: {statistics.median(rates[2]) / statistics.median(rates[1]):.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
