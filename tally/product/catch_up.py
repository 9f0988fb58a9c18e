"""Wait until the folds and the sink have reached the log's end."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from rich.progress import Progress

from ledger.log import PARTITIONS, Log, fold_offset
from ledger.log.topics import DERIVED, EVENTS, Topic
from ledger.settings import Settings
from tally import dbt_models
from tally.output import err, progress_bar, step
from tally.processes.join import needing
from tally.processes.service import Child, Joined, list_pipeline_services
from tally.session import opened
from tally.status.positions import read_stored_offsets
from warehouse import rollups

POLL_INTERVAL_S, EXPLAIN_AFTER_S = 0.2, 30


@contextmanager
def warehouse_with_models(settings: Settings) -> Iterator[None]:
    """Keep a warehouse running that has reached the log's end, with its models built, and call trees up to there."""
    with opened(settings) as log, needing(settings, list_pipeline_services(settings)) as running:
        wait_for_sink(settings, log, running)
        with step("checking the dbt models"):
            dbt_models.ensure_models(settings)
            rollups.build_call_trees(settings)
        yield


def wait_for_folds(log: Log, running: Sequence[Child | Joined]) -> None:
    """Wait until the folds have reached the present end of the log. Failure where a service crashes."""
    ends = dict(enumerate(log.ends(EVENTS)))

    def read_folded() -> dict[int, int]:
        log.follow()  # a switch ends the workers of the previous generation
        return {partition: fold_offset(log, partition) for partition in ends}

    _wait("folding", ends, running, read_folded)


def wait_for_sink(settings: Settings, log: Log, running: Sequence[Child | Joined]) -> None:
    """Wait until the warehouse has reached the present end of the log."""
    wait_for_folds(log, running)
    for topic in DERIVED:
        ends = {partition: fold_offset(log, partition, topic) for partition in range(PARTITIONS)}
        _wait(f"storing {topic.name}", ends, running, partial(_read_stored, settings, topic))


def _read_stored(settings: Settings, topic: Topic) -> dict[int, int]:
    return read_stored_offsets(settings, topic) or {}


def make_follower(bar: Progress, activity: str, running: Sequence[Child | Joined]) -> Callable[[int, int], None]:
    """Return a function that shows progress, and raises Failure where a needed service has crashed."""
    task = bar.add_task(activity, total=None)

    def follow(count: int, total: int) -> None:
        bar.update(task, completed=count, total=total)
        for service in running:
            service.check()

    return follow


def _wait(
    activity: str,
    ends: Mapping[int, int],
    running: Sequence[Child | Joined],
    read_offsets: Callable[[], Mapping[int, int]],
) -> None:
    with progress_bar() as bar:
        follow = make_follower(bar, activity, running)
        offsets: dict[int, int] = {}
        moved_at, explained = time.monotonic(), False
        while True:
            previous, current = offsets, read_offsets()
            offsets = {partition: min(current.get(partition, 0), end) for partition, end in ends.items()}
            follow(sum(offsets.values()), sum(ends.values()))
            if offsets == ends:
                return
            if offsets != previous:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > EXPLAIN_AFTER_S and not explained:
                explained = True
                err.print(
                    f"{activity}: no progress for {EXPLAIN_AFTER_S} s; see logs/ of the home for the reason",
                    markup=False,
                )
            time.sleep(POLL_INTERVAL_S)
