"""Waiting until the folds and the sink have come to where the log stood."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from rich.progress import Progress

from ledger.log import PARTITIONS, Log, folded
from ledger.log.topics import DERIVED, EVENTS, Topic
from ledger.settings import Settings
from tally import dbt_models
from tally.output import err, progress, step
from tally.processes.join import needing
from tally.processes.service import Child, Joined, storing
from tally.session import opened
from tally.status.positions import stored

POLL_S, STILL_S = 0.2, 30


@contextmanager
def warehouse_with_models(settings: Settings) -> Iterator[None]:
    """A running warehouse that holds what the log holds now, and its models."""
    with opened(settings) as log, needing(settings, storing(settings)) as running:
        wait_for_sink(settings, log, running)
        with step("looking at the dbt models"):
            dbt_models.ensure(settings)
        yield


def wait_for_folds(log: Log, running: Sequence[Child | Joined]) -> None:
    """Wait until the folds have come to the log's end as it stands now. Failure where a part dies."""
    ends = dict(enumerate(log.ends(EVENTS)))

    def reached() -> dict[int, int]:
        log.follow()  # a switch ends the workers of the generation before
        return {partition: folded(log, partition) for partition in ends}

    _wait("folding", ends, running, reached)


def wait_for_sink(settings: Settings, log: Log, running: Sequence[Child | Joined]) -> None:
    """Wait until the warehouse holds what follows from the log as it stands now."""
    wait_for_folds(log, running)
    for topic in DERIVED:
        ends = {partition: folded(log, partition, topic) for partition in range(PARTITIONS)}
        _wait(f"storing {topic.name}", ends, running, partial(_stored, settings, topic))


def _stored(settings: Settings, topic: Topic) -> dict[int, int]:
    return stored(settings, topic) or {}


def following(shown: Progress, doing: str, running: Sequence[Child | Joined]) -> Callable[[int, int], None]:
    """Shows how far the work is, and ends it where a part that it needs has died."""
    task = shown.add_task(doing, total=None)

    def follow(done: int, total: int) -> None:
        shown.update(task, completed=done, total=total)
        for part in running:
            part.check()

    return follow


def _wait(
    doing: str,
    ends: Mapping[int, int],
    running: Sequence[Child | Joined],
    reached: Callable[[], Mapping[int, int]],
) -> None:
    with progress() as shown:
        follow = following(shown, doing, running)
        done: dict[int, int] = {}
        moved, explained = time.monotonic(), False
        while True:
            before, at = done, reached()
            done = {partition: min(at.get(partition, 0), end) for partition, end in ends.items()}
            follow(sum(done.values()), sum(ends.values()))
            if done == ends:
                return
            if done != before:
                moved = time.monotonic()
            elif time.monotonic() - moved > STILL_S and not explained:
                explained = True
                err.print(f"{doing}: nothing moved for {STILL_S} s; the logs of the home say why", markup=False)
            time.sleep(POLL_S)
