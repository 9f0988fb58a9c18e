"""Read the partitions, both sides of each on their own: in processes where that is worth their start."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from decimal import localcontext
from typing import Any, Literal, NamedTuple

from audit.verify import from_log, from_topic
from audit.verify.totals import Totals
from ledger.log import Log
from ledger.log.open import open_log
from ledger.log.topics import ENTRIES, EVENTS
from ledger.settings import Settings

MIN_BYTES = 8 << 20
"""Bytes from which processes are worth their start."""
PROGRESS_RECORDS = 20
POLL_INTERVAL_S = 0.2
PRECISION = 80
"""Digits of decimals: sums are exact."""
Progress = Callable[[int, int], None]


class Task(NamedTuple):
    """One side of a partition to read, up to the offset of ``tally.events`` of each topic."""

    side: Literal["log", "topic"]
    partition: int
    bounds: Mapping[str, int]


class Reading(NamedTuple):
    """The totals of a task, the number of records that were read for them, and the first difference."""

    task: Task
    totals: Totals
    record_count: int
    difference: dict[str, Any] | None


def read_partitions(
    settings: Settings,
    log: Log,
    tasks: list[Task],
    record_count: int,
    progress: Progress,
    meanwhile: Callable[[], None],
) -> list[Reading]:
    """Perform the tasks; ``meanwhile`` is called once, while processes work. ``record_count``: the records that they
    have to read."""
    if (os.cpu_count() or 1) > 1 and tasks and record_count * _read_record_size(log, tasks[0]) >= MIN_BYTES:
        return list(_read_in_processes(settings, tasks, record_count, progress, meanwhile))
    load, count = from_log.make_loader(log), 0

    def advance() -> None:
        nonlocal count
        count += 1
        if count % PROGRESS_RECORDS == 0:
            progress(count, record_count)

    readings = [_perform(task, settings, log, load, advance) for task in tasks]
    meanwhile()
    return readings


def _read_record_size(log: Log, task: Task) -> int:
    """Return the bytes of the last record of a task, as a sample of what is to be read."""
    records = log.read(EVENTS, task.partition, task.bounds[ENTRIES.name], max_bytes=1)
    return len(records[0].value) if records else 0


def _perform(task: Task, settings: Settings, log: Log, load: from_log.Load, advance: Callable[[], None]) -> Reading:
    with localcontext(prec=PRECISION):
        if task.side == "topic":
            return Reading(task, *from_topic.read_totals(settings, log, task.partition, task.bounds, advance))
        last_offset = task.bounds[ENTRIES.name]
        return Reading(task, *from_log.recompute_totals(settings, log, load, task.partition, last_offset, advance))


def _read_in_processes(
    settings: Settings, tasks: list[Task], record_count: int, progress: Progress, meanwhile: Callable[[], None]
) -> Iterator[Reading]:
    context = multiprocessing.get_context("spawn")
    counts = context.SimpleQueue()
    with context.Pool(min(os.cpu_count() or 1, len(tasks)), _begin_worker, (settings, counts, os.getpid())) as pool:
        pending = [pool.apply_async(_perform_here, (task,)) for task in tasks]
        meanwhile()
        count = 0
        for result in pending:
            while not result.ready():
                result.wait(POLL_INTERVAL_S)
                while not counts.empty():
                    count += counts.get()
                progress(min(count, record_count), record_count)
            yield result.get()


_worker: dict[str, Any] = {}
"""What a process works with."""


def _begin_worker(settings: Settings, counts: Any, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C ends the command, which ends its processes
    log = open_log(settings)
    _worker.update(settings=settings, log=log, load=from_log.make_loader(log), counts=counts, parent=parent)


def _perform_here(task: Task) -> Reading:
    count = 0

    def advance() -> None:
        nonlocal count
        count += 1
        if count % PROGRESS_RECORDS == 0:
            if os.getppid() != _worker["parent"]:
                os._exit(1)  # the command was killed
            with suppress(OSError):
                _worker["counts"].put(PROGRESS_RECORDS)

    return _perform(task, _worker["settings"], _worker["log"], _worker["load"], advance)
