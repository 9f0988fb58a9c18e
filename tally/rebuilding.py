"""All that is derived, derived anew beside the current generation, verified, compared with it, and switched to."""

import shutil
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

from audit.verify import Report, verify
from ingest.control import made_current
from ledger.errors import TallyError
from ledger.faults import point
from ledger.home import only_one
from ledger.log import Log, generation
from ledger.log.embedded import EmbeddedLog
from ledger.settings import Settings
from streams.store import VERSION
from tally import models, moving, switching
from tally.comparing import Differences, compare
from tally.joining import needing
from tally.opening import opened
from tally.output import progress, size, step
from tally.parts import storing
from tally.reaching import following, wait_for_sink
from tally.telling import bytes_in
from warehouse.client import connect


class Rebuilt(NamedTuple):
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


def rebuild(settings: Settings) -> Rebuilt:
    """Build, verify, compare, and switch unless the audit finds a difference: then what was built stays in
    ``rebuild/`` to be looked at. TallyError where this home or its disk cannot, Failure where a part fails."""
    for said, name in ((settings.log, "TALLY_LOG"), (settings.warehouse, "TALLY_WAREHOUSE")):
        if said is not None:
            raise TallyError(
                f"{name} is set, and only what a home holds itself can be rebuilt: what is derived on Kafka, or stands "
                "in a ClickHouse server, has no generation yet"
            )
    built = settings.model_copy(update={"home": settings.home / moving.BUILT, "warehouse_port": 0})
    with opened(settings) as log, only_one(settings.home, moving.BUILT):
        with ExitStack() as gone:
            for part in storing(built):  # of one that was killed
                gone.enter_context(switching.kept_away(built, part))
            moving.forget(settings)
        _check_room(settings)
        before = generation.current(log)
        seconds, report, differences = _built(built, log)
        point("rebuild.verified")
        if report.difference is not None:
            return Rebuilt(before + 1, False, seconds, report, differences, None)
        line = made_current(settings, before + 1, VERSION).decode()
        moving.ask(settings, moving.Request(before + 1, before, line, keep=not differences.same))
        switching.carried_out(settings, log)
    old = None if differences.same else moving.kept(settings, before)
    return Rebuilt(before + 1, True, seconds, report, differences, old)


def _check_room(settings: Settings) -> None:
    """A full disk would stop the current generation too."""
    files = (settings.home / "log").glob("derived.db*")
    needed = bytes_in(settings.home / "warehouse") + sum(file.stat().st_size for file in files)
    free = shutil.disk_usage(settings.home).free
    if needed > free:
        raise TallyError(
            f"a new generation takes about {size(needed)}, as the current one does, and the disk of {settings.home} "
            f"has {size(free)} free: free some space"
        )


def _built(built: Settings, current: Log) -> tuple[float, Report, Differences]:
    """Run the parts in a home of their own that has the same recorded log, until its warehouse holds all that
    follows, and prove it."""
    for name in ("recorded.db", "recorded.lock"):
        link = built.home / "log" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../log/{name}")
    begun = time.monotonic()
    with closing(EmbeddedLog(built.home)) as new, needing(built, storing(built)) as running:
        wait_for_sink(built, new, running)
        seconds = time.monotonic() - begun
        point("rebuild.built")
        with progress() as shown:
            report = verify(built, new, connect(built), following(shown, "recomputing", running))
        with step("building the dbt models"):
            models.ensure(built)
        with step("comparing with the current generation"):
            return seconds, report, compare(current, new)
