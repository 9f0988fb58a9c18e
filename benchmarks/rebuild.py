"""Folding a whole Kafka log anew, with one worker and with two: ``python -m benchmarks.rebuild [EVENTS]``.

From the first event that is folded to the last. Two workers start together, so that their sharing of the partitions is
part of the figure. They take turns.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import kafka


def main(events: int = 240_000, rounds: int = 2) -> None:
    partitions = kafka.calls(events)
    rates: dict[int, list[kafka.Rate]] = {1: [], 2: []}
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
    for unit, each in zip(("second", "processor second of the workers"), kafka.Rate._fields, strict=True):
        one, two = ([getattr(rate, each) for rate in some] for some in rates.values())
        print(f"events a {unit}, median of {rounds}:")
        print(f"  one worker  {kafka.told(one)}")
        print(f"  two workers {kafka.told(two)}")
        print(f"  ratio       {statistics.median(two) / statistics.median(one):9.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
