"""All that is derived, derived anew beside the current generation, verified, compared with it, and switched to."""

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
from tally.output import progress_bar, format_size, step
from tally.processes.join import needing
from tally.processes.service import STREAMS, Child, list_pipeline_services
from tally.product.catch_up import make_follower, wait_for_sink
from tally.session import opened
from warehouse import generations
from warehouse.client import connect


class RebuildResult(NamedTuple):
    """``seconds`` is how long folds and sink took; ``old`` where the generation before is kept, None where it was the
    same and is gone. Where the audit found a difference nothing was ``switched``."""

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
    """Build, verify, compare, and switch unless the audit finds a difference: then what was built stays in
    ``rebuild/`` to be looked at. TallyError where this home or its disk cannot, Failure where a part fails."""
    if settings.log is None and workers > 1:
        raise TallyError(f"--workers is {workers}, and an embedded log is folded by one worker: leave it out")
    build_settings = settings.model_copy(update={"home": settings.home / moving.BUILD_FOLDER, "warehouse_port": 0, "streams_port": 0})
    with opened(settings) as log, service_lock(settings.home, moving.BUILD_FOLDER):
        with ExitStack() as stack:
            for service in list_pipeline_services(build_settings):  # of one that was killed
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
                f"another home of {log} rebuilds, or has meanwhile: generation {number} is thrown away, and once that "
                "is done `tally rebuild` makes another"
            )
    old = None if differences.are_equal else moving.locate_previous(settings, before)
    return RebuildResult(number, True, seconds, report, differences, old)


def _begin(settings: Settings, build_settings: Settings, log: Log, before: int) -> tuple[int, Settings]:
    """The new generation's number, and the settings of the home in which it is made: that has the same recorded log."""
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
    """A full disk would stop the current generation too. What another machine's Kafka has free it does not say."""
    files = (settings.home / "log").glob("derived.db*")
    broker_folders = [f"kafka/data/{topic.name}[-.]*" for topic in (*DERIVED, STATE)] if settings.has_own_kafka else []
    folders = [settings.home / "warehouse", *(folder for names in broker_folders for folder in settings.home.glob(names))]
    needed_bytes = sum(map(bytes_in, folders)) + sum(file.stat().st_size for file in files)
    free_bytes = shutil.disk_usage(settings.home).free
    if needed_bytes > free_bytes:
        raise TallyError(
            f"a new generation takes about {format_size(needed_bytes)}, as the current one does, and the disk of {settings.home} "
            f"has {format_size(free_bytes)} free: free some space"
        )


def _build_and_verify(build_settings: Settings, current: Log, workers: int) -> tuple[float, Report, Differences]:
    """Run the parts in a home of their own, until its warehouse holds all that follows from the log, and prove it."""
    start_s = time.monotonic()
    with (
        closing(open_log(build_settings)) as new,
        needing(build_settings, list_pipeline_services(build_settings)) as first,
        _further_workers(build_settings, workers) as further,
    ):
        running = [*first, *further]
        wait_for_sink(build_settings, new, running)
        seconds = time.monotonic() - start_s
        point("rebuild.built")
        with progress_bar() as bar:
            report = verify(build_settings, new, connect(build_settings), make_follower(bar, "recomputing", running))
        if build_settings.warehouse is None:  # a server's are of the tables' names, whichever generation has them
            with step("building the dbt models"):
                dbt_models.ensure_models(build_settings)
        with step("comparing with the current generation"):
            return seconds, report, compare(current, new)


@contextmanager
def _further_workers(settings: Settings, workers: int) -> Iterator[list[Child]]:
    """Workers beside the first, who share the partitions with it."""
    with ExitStack() as end:
        children: list[Child] = []
        for number in range(2, workers + 1):
            children.append(Child(settings, STREAMS, number))
            end.callback(children[-1].stop)
        for child in children:
            child.wait_until_ready()
        yield children
