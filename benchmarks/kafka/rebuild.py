"""A refold of a whole Kafka log, with one worker and with two.

``python -m benchmarks.kafka.rebuild [EVENTS [ROUNDS]]``.

From the first event that is folded to the last. Two workers start together, so that their sharing of the partitions is
part of the figure. They take turns.
"""

import sys
from functools import partial

from benchmarks.harness import kafka_workers


def main(events: int = 240_000, rounds: int = 2) -> None:
    partitions = kafka_workers.build_partitions(events)
    with kafka_workers.broker() as bootstrap:
        measure_folding = partial(kafka_workers.measure_folding, bootstrap=bootstrap, partitions=partitions)
        kafka_workers.compare_rates(
            rounds, {"one worker": measure_folding, "two workers": partial(measure_folding, worker_count=2)}
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
