"""The greatest gain that faster folds could bring a worker on Kafka.

``python -m benchmarks.kafka.fold_ceiling [EVENTS [ROUNDS]]``.

The worker as it is, and beside it one whose folds take no time (``noop_folds_worker.py``): the same records are
delivered, and the same bytes committed and remembered. They take turns.
"""

import sys
from functools import partial

from benchmarks.harness import kafka_workers

NOOP_COMMAND = (sys.executable, "-m", "benchmarks.kafka.noop_folds_worker")


def main(events: int = 128_000, rounds: int = 3) -> None:
    partitions = kafka_workers.build_partitions(events)
    with kafka_workers.broker() as bootstrap:
        measure_folding = partial(kafka_workers.measure_folding, bootstrap=bootstrap, partitions=partitions)
        measure_ceiling = partial(measure_folding, command=(*NOOP_COMMAND, str(events)))
        kafka_workers.compare_rates(rounds, {"as it is": measure_folding, "folds for nothing": measure_ceiling})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
