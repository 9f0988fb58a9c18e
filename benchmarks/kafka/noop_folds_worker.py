"""A worker on Kafka whose folds take no time: ``python -m benchmarks.kafka.noop_folds_worker EVENTS``.

``fold_ceiling`` runs it.

The effect of each record is computed before the first is read. It is delivered, committed and stored as usual, and
nothing is parsed, looked up or folded.
"""

import sys
from collections.abc import Callable, Iterator

from benchmarks.harness import kafka_workers, workload
from streams.folds.chain import Derived, fold_record
from streams.folds.entry import Documents, Originals
from streams.folds.event import parse_record
from streams.folds.identity import Identities
from streams.folds.state import State
from streams.kafka import worker
from streams.partition_state import Batch, Change, FoldPosition, PartitionState
from streams.replay import open_catalogues
from tally.session import opened, settings

Effect = tuple[Derived, Change]
Folding = Callable[[PartitionState, Batch, State, Documents, Originals], tuple[Derived, FoldPosition, Change]]


def main(events: int) -> None:
    effects = dict(_compute_effects(events))
    PartitionState.parse_batch = lambda _, records, *__: Batch(records, [], {}, [])  # type: ignore[method-assign]
    PartitionState.fold_batch = _build_fold(effects)  # type: ignore[assignment, method-assign]
    home_settings = settings()
    with opened(home_settings) as log:
        worker.run(home_settings, log)


def _compute_effects(events: int) -> Iterator[tuple[tuple[int, int], Effect]]:
    """Yield the effect of each record, by partition and offset."""
    books = open_catalogues(workload.build_documents())
    for partition, records in zip(kafka_workers.WORK_PARTITIONS, kafka_workers.build_partitions(events), strict=True):
        state = State()
        for record in records:
            identities = Identities()  # the workload has no event twice
            derived = fold_record(
                parse_record(record._replace(partition=partition)), state, identities, books, lambda *_: b""
            )
            yield (partition, record.offset), (derived, Change(None, state.take_changes(), identities))


def _build_fold(effects: dict[tuple[int, int], Effect]) -> Folding:
    no_effect: Effect = ([], Change(None, {}, {}))  # of ticks, which the workload's end brings

    def fold_batch(
        _: PartitionState, batch: Batch, __: State, ___: Documents, ____: Originals
    ) -> tuple[Derived, FoldPosition, Change]:
        records = batch.records
        record_effects = [effects.get((record.partition, record.offset), no_effect) for record in records]
        derived = [line for lines, _ in record_effects for line in lines]
        rows = {key: row for _, change in record_effects for key, row in change.rows.items()}
        identities = {identity: first for _, change in record_effects for identity, first in change.identities.items()}
        progress = FoldPosition(records[-1].offset + 1, records[-1].digest())
        return derived, progress, Change(progress, rows, identities)

    return fold_batch


if __name__ == "__main__":
    main(int(sys.argv[1]))
