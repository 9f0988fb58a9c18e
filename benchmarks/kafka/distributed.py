"""The folds on Kafka against a plain Faust program, one worker each.

``python -m benchmarks.kafka.distributed [EVENTS [ROUNDS [A_RECORD]]]``: so many events a record of ours.
Ours is the worker that `tally streams worker` runs: every fold, and a transaction for outputs, rows and position. The
plain program parses an event and adds its cost to a Table. Both read the same events from as many partitions of the
same broker; what counts is what stands on it, ours committed, the plain one's changes of its Table. They take turns.
"""

import sys
from functools import partial
from pathlib import Path

from benchmarks.harness import kafka_workers, workload
from benchmarks.kafka.faust_baseline import Plain, lines


def main(events: int = 32_000, rounds: int = 3, a_record: int = workload.A_RECORD) -> None:
    partitions = kafka_workers.calls(events, a_record)
    with kafka_workers.broker() as bootstrap:

        def plain(folder: Path) -> kafka_workers.Rate:
            program = Plain(bootstrap)
            program.send(lines(partitions))
            with program.crew(folder) as crew:
                crew.start()
                return kafka_workers.rate(crew, program.written, events)

        ours = partial(kafka_workers.folding, bootstrap=bootstrap, partitions=partitions, a_record=a_record)
        kafka_workers.in_turns(rounds, {"plain Faust": plain, "tallystick": ours})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
