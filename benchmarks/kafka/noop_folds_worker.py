"""A worker on Kafka whose folds take no time: ``python -m benchmarks.kafka.noop_folds_worker EVENTS``.

``fold_ceiling`` runs it.

What each record of the workload causes is known before the first is read. It is delivered, committed and remembered
as ever, and nothing is parsed, looked up or folded.
"""

import sys
from collections.abc import Callable, Iterator

from benchmarks.harness import kafka_workers, workload
from ledger.log import Record
from streams.folds.chain import Derived, fold_record
from streams.folds.entry import Documents
from streams.folds.event import parse_record
from streams.folds.identity import FirstSeen
from streams.folds.state import State
from streams.kafka import worker
from streams.partition_state import Change, PartitionState, Reached
from streams.replay import open_catalogues
from tally.session import opened, settings

Caused = tuple[Derived, Change]
Folding = Callable[[PartitionState, list[Record], State, Documents], tuple[Derived, Reached, Change]]


def main(events: int) -> None:
    known = dict(_known(events))
    PartitionState.fold_records = _from(known)  # type: ignore[assignment, method-assign]
    chosen = settings()
    with opened(chosen) as log:
        worker.run(chosen, log)


def _known(events: int) -> Iterator[tuple[tuple[int, int], Caused]]:
    """What each record causes, by partition and offset."""
    books = open_catalogues(workload.documents())
    for partition, records in zip(kafka_workers.PLACES, kafka_workers.calls(events), strict=True):
        rows = State()
        for record in records:
            taken: dict[bytes, FirstSeen] = {}  # the workload has no event twice
            derived = fold_record(parse_record(record._replace(partition=partition)), rows, taken, books)
            yield (partition, record.offset), (derived, Change(None, rows.take_changes(), taken))


def _from(known: dict[tuple[int, int], Caused]) -> Folding:
    nothing: Caused = ([], Change(None, {}, {}))  # of ticks, which the workload's end brings

    def fold_records(
        _: PartitionState, records: list[Record], __: State, ___: Documents
    ) -> tuple[Derived, Reached, Change]:
        caused = [known.get((record.partition, record.offset), nothing) for record in records]
        derived = [one for said, _ in caused for one in said]
        rows = {key: row for _, change in caused for key, row in change.rows.items()}
        taken = {identity: first for _, change in caused for identity, first in change.identities.items()}
        reached = Reached(records[-1].offset + 1, records[-1].digest())
        return derived, reached, Change(reached, rows, taken)

    return fold_records


if __name__ == "__main__":
    main(int(sys.argv[1]))
