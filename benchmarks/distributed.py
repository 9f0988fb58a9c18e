"""The folds on Kafka against a plain Faust program, one worker each.

``python -m benchmarks.distributed [EVENTS [ROUNDS [A_RECORD]]]``: so many events a record of ours.
Ours is the worker that `tally streams worker` runs: every fold, and a transaction for outputs, rows and position. The
plain program parses an event and adds its cost to a Table. Both read the same events from as many partitions of the
same broker; what counts is what stands on it, ours committed, the plain one's changes of its Table. They take turns.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import kafka, workload
from benchmarks.plain import Plain, lines
from ledger.log import Record


def main(events: int = 32_000, rounds: int = 3, a_record: int = workload.A_RECORD) -> None:
    partitions = kafka.calls(events, a_record)
    rates: dict[str, list[kafka.Rate]] = {"tallystick": [], "plain Faust": []}
    with kafka.broker() as bootstrap, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            measured = _ours(Path(folder) / f"ours-{number}", bootstrap, partitions, events, a_record)
            rates["tallystick"].append(measured)
            rates["plain Faust"].append(_plain(Path(folder) / f"plain-{number}", bootstrap, partitions, events))
    for unit, each in zip(("second", "processor second of the worker"), kafka.Rate._fields, strict=True):
        ours, plain = ([getattr(one, each) for one in some] for some in rates.values())
        print(f"events a {unit}, median of {rounds}:")
        print(f"  tallystick  {kafka.told(ours)}")
        print(f"  plain Faust {kafka.told(plain)}")
        ratios = [one / other for one, other in zip(ours, plain, strict=True)]
        print(f"  ratio       {statistics.median(ratios):9.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


def _ours(
    folder: Path, bootstrap: str, partitions: Sequence[Sequence[Record]], events: int, a_record: int
) -> kafka.Rate:
    log = kafka.new_log(bootstrap)
    kafka.fill(log, partitions)
    with kafka.workers(folder, log) as crew:
        crew.start()
        return kafka.rate(crew, lambda: kafka.events_folded(log, a_record), events)


def _plain(folder: Path, bootstrap: str, partitions: Sequence[Sequence[Record]], events: int) -> kafka.Rate:
    plain = Plain(bootstrap)
    plain.send(lines(partitions))
    with plain.crew(folder) as crew:
        crew.start()
        return kafka.rate(crew, plain.written, events)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
