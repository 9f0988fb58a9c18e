"""Who performs the switch to a new generation, and when: while no part runs."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from ingest.controls import platform_relay
from ledger.errors import LogClosed
from ledger.fault_points import point
from ledger.home.locks import locked
from ledger.home.presence import lives
from ledger.log import Log, generation
from ledger.log.sqlite.log import EmbeddedLog
from ledger.settings import Settings
from tally.generations import files
from tally.output import err
from tally.processes.join import owning
from tally.processes.service import Part, storing

POLL_INTERVAL_S, PATIENCE_S = 0.1, 2.0
"""How often one looks who is there, and after what time a wait is explained."""


def carried_out(settings: Settings, log: Log) -> None:
    """Perform the switch that is asked for, or wait until who runs the parts has done it."""
    begun, explained = time.monotonic(), False
    while files.asked(settings):
        with owning(settings, storing(settings)) as ours:
            if ours:
                perform(settings, log)
                break
        if not explained and time.monotonic() > begun + PATIENCE_S:
            explained = True
            err.print("waiting for the command that runs the parts: `tally up` switches, any other one ends first")
        time.sleep(POLL_INTERVAL_S)
    files.settle(settings)


def perform(settings: Settings, log: Log) -> None:
    """Switch, if that is asked for and still can be. The parts are the caller's, who has stopped them; those that were
    started by hand are waited for."""
    with ExitStack() as held:
        for part in storing(settings):
            held.enter_context(kept_away(settings, part))
        held.enter_context(files.alone(settings))
        if (request := files.asked(settings)) is None:
            return
        if (why := _hindrance(settings, log, request)) is not None:
            err.print(f"generation {request.generation} does not become the current one, and is thrown away: {why}")
            files.withdraw(settings)
            return
        if isinstance(log, EmbeddedLog):  # what was built follows from the log as it is
            log.accept_past()
        # a log that went elsewhere takes no decision
        with suppress(LogClosed), platform_relay.platform_lock(settings.home):
            platform_relay.ensure(log, request.line.encode())
            point("switch.recorded")
            generation.make_current(log, request.generation)
            point("switch.named")
        files.switch(settings)


def resume(settings: Settings, log: Log) -> None:
    """Perform a switch whose performer was killed when the log named the new generation already."""
    request = files.asked(settings)
    if request is not None and generation.current(log) == request.generation:
        perform(settings, log)


def _hindrance(settings: Settings, log: Log, request: files.Request) -> str | None:
    """On Kafka other homes may rebuild meanwhile."""
    if (current := generation.current(log)) not in (request.before, request.generation):
        return f"generation {current} became it meanwhile"
    if settings.log is not None:
        from ledger.log.kafka.cluster import cluster_of
        from ledger.log.kafka.generations import standing

        if request.generation not in standing(cluster_of(settings)):
            return "its topics are gone, as another rebuild has begun since"
    return None


@contextmanager
def kept_away(settings: Settings, part: Part) -> Iterator[None]:
    """Have a part not run, and not start; wait until it has stopped."""
    begun, explained = time.monotonic(), False
    while lives(settings, part.name):
        if not explained and time.monotonic() > begun + PATIENCE_S:
            explained = True
            err.print(f"waiting for the {part.called} of {settings.home}, which was started by hand: stop it")
        time.sleep(POLL_INTERVAL_S)
    with locked(settings.run / f"{part.name}.lock"):
        (settings.run / f"{part.name}.json").unlink(missing_ok=True)  # of one that was killed
        yield
