"""Folding a whole Kafka log anew, with one worker and with two: ``python -m benchmarks.rebuild [EVENTS [ROUNDS]]``.

From the first event that is folded to the last. Two workers start together, so that their sharing of the partitions is
part of the figure. They take turns.
"""

import sys
from functools import partial

from benchmarks import kafka_harness


def main(events: int = 240_000, rounds: int = 2) -> None:
    partitions = kafka_harness.calls(events)
    with kafka_harness.broker() as bootstrap:
        folding = partial(kafka_harness.folding, bootstrap=bootstrap, partitions=partitions)
        kafka_harness.in_turns(rounds, {"one worker": folding, "two workers": partial(folding, crew_size=2)})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
