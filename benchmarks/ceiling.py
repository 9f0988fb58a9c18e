"""What folds could gain a worker on Kafka at most: ``python -m benchmarks.ceiling [EVENTS [ROUNDS]]``.

The worker as it is, and beside it one whose folds take no time (``foldless.py``): the same records are delivered, and
the same bytes committed and remembered. They take turns.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import kafka

FOLDLESS = (sys.executable, "-m", "benchmarks.foldless")


def main(events: int = 64_000, rounds: int = 3) -> None:
    partitions = kafka.calls(events)
    commands = {"as it is": kafka.WORKER, "folds for nothing": (*FOLDLESS, str(events))}
    rates: dict[str, list[kafka.Rate]] = {name: [] for name in commands}
    with kafka.broker() as bootstrap, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for name, command in commands.items():
                log = kafka.new_log(bootstrap)
                kafka.fill(log, partitions)
                with kafka.Crew(Path(folder) / f"{number}-{name}", command, TALLY_LOG=repr(log.cluster)) as crew:
                    crew.start()
                    rates[name].append(kafka.rate(crew, lambda: kafka.events_folded(log), events))  # noqa: B023  (called at once)
                log.close()
    for unit, each in zip(("second", "processor second of the worker"), kafka.Rate._fields, strict=True):
        print(f"events a {unit}, median of {rounds}:")
        some = {name: [getattr(rate, each) for rate in of] for name, of in rates.items()}
        for name, of in some.items():
            print(f"  {name:18} {kafka.told(of)}")
        real, free = map(statistics.median, some.values())
        print(f"  ratio              {free / real:9.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
