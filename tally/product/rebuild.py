"""Build a new generation beside the current one, verify it, compare both, and switch."""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from audit.verify.verify import Report, verify
from ingest.controls.log import activate_generation
from ledger.errors import TallyError
from ledger.fault_points import point
from ledger.home.disk import bytes_in
from ledger.home.files import make_folder
from ledger.home.locks import service_lock
from ledger.log import Log, generation
from ledger.log.open import open_log
from ledger.log.topics import DERIVED, STATE
from ledger.settings import Settings
from streams.folds.version import VERSION
from tally import dbt_models
from tally.generations import files as moving
from tally.generations import switch
from tally.generations.compare import Differences, compare
from tally.output import format_size, progress_bar, step
from tally.processes.join import needing
from tally.processes.service import STREAMS, Child, list_pipeline_services
from tally.product.catch_up import make_follower, wait_for_sink
from tally.session import opened
from warehouse import generations
from warehouse.client import connect


class RebuildResult(NamedTuple):
    """A rebuild: ``seconds`` is the time of folds and sink; ``old`` is the folder of the previous generation, None
    where it was equal and is deleted. Where the audit found a difference, nothing was ``switched``."""

    generation: int
    switched: bool
    seconds: float
    report: Report
    differences: Differences
    old: Path | None

    def as_json(self) -> dict[str, Any]:
        verified = self.report.as_json()
        events = verified["events"]["received"]
        return {
            "generation": self.generation,
            "switched": self.switched,
            "records": sum(last + 1 for last in self.report.bounds.values()),
            "events": events,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(events / self.seconds),
            "verified": verified,
            "differences": self.differences._asdict(),
            "old": self.old,
        }


def rebuild(settings: Settings, workers: int = 1) -> RebuildResult:
    """Build, verify, compare, and switch unless the audit finds a difference: then the new generation stays in
    ``rebuild/`` for inspection. TallyError where home or disk do not allow it, Failure where a service fails."""
    if settings.log is None and workers > 1:
        raise TallyError(f"--workers is {workers}, but an embedded log has one worker: leave it out")
    build_settings = settings.model_copy(
        update={"home": settings.home / moving.BUILD_FOLDER, "warehouse_port": 0, "streams_port": 0}
    )
    with opened(settings) as log, service_lock(settings.home, moving.BUILD_FOLDER):
        with ExitStack() as stack:
            for service in list_pipeline_services(build_settings):  # left by a rebuild that was killed
                stack.enter_context(switch.kept_away(build_settings, service))
            moving.discard_generations(settings)
        before = log.generation or generation.read_current(log)
        _check_room(settings)
        if settings.warehouse is not None:
            generations.prepare_rebuild(log, connect(settings), before)
        number, build_settings = _begin(settings, build_settings, log, before)
        seconds, report, differences = _build_and_verify(build_settings, log, workers)
        point("rebuild.verified")
        if report.difference is not None:
            return RebuildResult(number, False, seconds, report, differences, None)
        line = activate_generation(settings, number, VERSION).decode()
        moving.request_switch(settings, moving.Request(number, before, line, not differences.are_equal, settings.log))
        switch.carry_out(settings, log)
        if settings.log is not None and generation.read_current(log) != number:
            raise TallyError(
                f"another home of {log} rebuilds, or has rebuilt meanwhile: generation {number} is discarded. Run "
                "`tally rebuild` again once that has ended"
            )
    old = None if differences.are_equal else moving.locate_previous(settings, before)
    return RebuildResult(number, True, seconds, report, differences, old)


def _begin(settings: Settings, build_settings: Settings, log: Log, before: int) -> tuple[int, Settings]:
    """Return the new generation's number, and the settings of the home that builds it on the same recorded log."""
    if settings.log is None:
        for name in ("recorded.db", "recorded.lock"):
            link = build_settings.home / "log" / name
            make_folder(link.parent)
            link.symlink_to(f"../../log/{name}")
        return before + 1, build_settings.model_copy(update={"generation": before + 1})
    from ledger.log.kafka.cluster import url_of
    from ledger.log.kafka.generations import create_generation
    from ledger.log.kafka.log import KafkaLog

    assert isinstance(log, KafkaLog)
    number = create_generation(log)
    return number, build_settings.model_copy(update={"generation": number, "log": url_of(settings)})


def _check_room(settings: Settings) -> None:
    """Refuse a rebuild without room: a full disk would stop the current generation too. Kafka does not tell the free
    space of other machines."""
    files = (settings.home / "log").glob("derived.db*")
    broker_folders = [f"kafka/data/{topic.name}[-.]*" for topic in (*DERIVED, STATE)] if settings.has_own_kafka else []
    folders = [
        settings.home / "warehouse",
        *(folder for names in broker_folders for folder in settings.home.glob(names)),
    ]
    needed_bytes = sum(map(bytes_in, folders)) + sum(file.stat().st_size for file in files)
    free_bytes = shutil.disk_usage(settings.home).free
    if needed_bytes > free_bytes:
        raise TallyError(
            f"a new generation needs about {format_size(needed_bytes)}, like the current one, and the disk of "
            f"{settings.home} has {format_size(free_bytes)} free: free some space"
        )


def _build_and_verify(build_settings: Settings, current: Log, workers: int) -> tuple[float, Report, Differences]:
    """Run the services in a home of their own until its warehouse has reached the log's end, and verify it."""
    start = time.monotonic()
    with (
        closing(open_log(build_settings)) as new,
        needing(build_settings, list_pipeline_services(build_settings)) as first,
        _further_workers(build_settings, workers) as further,
    ):
        running = [*first, *further]
        wait_for_sink(build_settings, new, running)
        seconds = time.monotonic() - start
        point("rebuild.built")
        with progress_bar() as bar:
            report = verify(build_settings, new, connect(build_settings), make_follower(bar, "recomputing", running))
        if build_settings.warehouse is None:  # on a server they read the tables by name
            with step("building the dbt models"):
                dbt_models.ensure_models(build_settings)
        with step("comparing with the current generation"):
            return seconds, report, compare(current, new)


@contextmanager
def _further_workers(settings: Settings, workers: int) -> Iterator[list[Child]]:
    """Run further workers, which share the partitions with the first."""
    with ExitStack() as end:
        children: list[Child] = []
        for number in range(2, workers + 1):
            children.append(Child(settings, STREAMS, number))
            end.callback(children[-1].stop)
        for child in children:
            child.wait_until_ready()
        yield children
