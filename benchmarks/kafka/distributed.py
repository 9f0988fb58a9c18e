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
from benchmarks.kafka.faust_baseline import PlainProgram, split_lines


def main(events: int = 32_000, rounds: int = 3, events_per_record: int = workload.EVENTS_PER_RECORD) -> None:
    partitions = kafka_workers.build_partitions(events, events_per_record)
    with kafka_workers.broker() as bootstrap:

        def plain(folder: Path) -> kafka_workers.Rate:
            program = PlainProgram(bootstrap)
            program.send(split_lines(partitions))
            with program.crew(folder) as crew:
                crew.start()
                return kafka_workers.measure_rate(crew, program.count_changes, events)

        tallystick = partial(
            kafka_workers.measure_folding,
            bootstrap=bootstrap,
            partitions=partitions,
            events_per_record=events_per_record,
        )
        kafka_workers.compare_rates(rounds, {"plain Faust": plain, "tallystick": tallystick})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
