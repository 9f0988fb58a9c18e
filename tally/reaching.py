"""Waiting until the folds and the sink have come to where the log stood."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from ledger.log import PARTITIONS, Log
from ledger.settings import Settings
from ledger.topics import DERIVED, EVENTS
from tally import models
from tally.joining import needing
from tally.opening import opened
from tally.output import progress, step
from tally.parts import Child, Joined, storing
from tally.positions import folded, stored
from warehouse.client import connect

POLL_S = 0.2


@contextmanager
def warehouse_with_models(settings: Settings) -> Iterator[None]:
    """A running warehouse that holds what the log holds now, and its models."""
    with opened(settings) as log, needing(settings, storing(settings)) as running:
        wait_for_sink(settings, log, running)
        with step("looking at the dbt models"):
            models.ensure(settings)
        yield


def wait_for_folds(log: Log, running: Sequence[Child | Joined]) -> None:
    """Wait until the folds have come to the log's end as it stands now. Failure where a part dies."""
    ends = {partition: log.end(EVENTS, partition) for partition in range(PARTITIONS)}
    _wait("folding", ends, running, lambda: {partition: folded(log, partition) for partition in ends})


def wait_for_sink(settings: Settings, log: Log, running: Sequence[Child | Joined]) -> None:
    """Wait until the warehouse holds what follows from the log as it stands now."""
    wait_for_folds(log, running)
    client = connect(settings)
    for topic in DERIVED:
        ends = {partition: folded(log, partition, topic) for partition in range(PARTITIONS)}
        _wait(f"storing {topic.name}", ends, running, partial(stored, client, topic))


def _wait(
    doing: str,
    ends: Mapping[int, int],
    running: Sequence[Child | Joined],
    reached: Callable[[], Mapping[int, int]],
) -> None:
    with progress() as shown:
        task = shown.add_task(doing, total=sum(ends.values()))
        while True:
            at = reached()
            done = {partition: min(at.get(partition, 0), end) for partition, end in ends.items()}
            shown.update(task, completed=sum(done.values()))
            if done == ends:
                return
            for part in running:
                part.check()
            time.sleep(POLL_S)
