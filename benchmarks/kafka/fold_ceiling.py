"""What folds could gain a worker on Kafka at most: ``python -m benchmarks.kafka.fold_ceiling [EVENTS [ROUNDS]]``.

The worker as it is, and beside it one whose folds take no time (``noop_folds_worker.py``): the same records are
delivered, and the same bytes committed and remembered. They take turns.
"""

import sys
from functools import partial

from benchmarks.harness import kafka_workers

FOLDLESS = (sys.executable, "-m", "benchmarks.kafka.noop_folds_worker")


def main(events: int = 128_000, rounds: int = 3) -> None:
    partitions = kafka_workers.calls(events)
    with kafka_workers.broker() as bootstrap:
        folding = partial(kafka_workers.folding, bootstrap=bootstrap, partitions=partitions)
        free = partial(folding, command=(*FOLDLESS, str(events)))
        kafka_workers.in_turns(rounds, {"as it is": folding, "folds for nothing": free})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
