"""Perform the switch to a new generation while no service of the pipeline runs."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from ingest.controls import platform_relay
from ledger.errors import LogClosed
from ledger.fault_points import point
from ledger.home.locks import is_running, locked
from ledger.log import Log, generation
from ledger.log.sqlite.log import EmbeddedLog
from ledger.settings import Settings
from tally.generations import files
from tally.output import err
from tally.processes.join import owning
from tally.processes.service import Service, list_pipeline_services

POLL_INTERVAL_S, EXPLAIN_AFTER_S = 0.1, 2.0
"""Time between two polls, and time after which a wait is explained."""


def carry_out(settings: Settings, log: Log) -> None:
    """Perform the requested switch, or wait until the command that owns the services has done it."""
    start, explained = time.monotonic(), False
    while files.read_request(settings):
        with owning(settings, list_pipeline_services(settings)) as is_owner:
            if is_owner:
                perform(settings, log)
                break
        if not explained and time.monotonic() > start + EXPLAIN_AFTER_S:
            explained = True
            err.print(
                "waiting for the command that runs the services: `tally up` switches, any other command must end first"
            )
        time.sleep(POLL_INTERVAL_S)
    files.complete_switch(settings)


def perform(settings: Settings, log: Log) -> None:
    """Switch, if that is requested and still possible. The caller owns the services and has stopped them; those that
    were started by hand are waited for."""
    with ExitStack() as stack:
        for service in list_pipeline_services(settings):
            stack.enter_context(kept_away(settings, service))
        stack.enter_context(files.switch_lock(settings))
        if (request := files.read_request(settings)) is None:
            return
        if (hindrance := _find_hindrance(settings, log, request)) is not None:
            err.print(f"generation {request.generation} was discarded: {hindrance}")
            files.withdraw_request(settings)
            return
        if isinstance(log, EmbeddedLog):  # the new generation follows from the log as it is
            log.accept_past()
        # A log that moved takes no control record.
        with suppress(LogClosed), platform_relay.platform_lock(settings.home):
            platform_relay.ensure(log, request.line.encode())
            point("switch.recorded")
            generation.activate(log, request.generation)
            point("switch.named")
        files.perform_switch(settings)


def resume(settings: Settings, log: Log) -> None:
    """Perform a switch that a kill interrupted after the log had named the new generation."""
    request = files.read_request(settings)
    if request is not None and generation.read_current(log) == request.generation:
        perform(settings, log)


def _find_hindrance(settings: Settings, log: Log, request: files.Request) -> str | None:
    """Return why the switch is no longer possible, or None: on Kafka other homes may have rebuilt meanwhile."""
    if (current := generation.read_current(log)) not in (request.before, request.generation):
        return f"generation {current} became current meanwhile"
    if settings.log is not None:
        from ledger.log.kafka.cluster import cluster_of
        from ledger.log.kafka.generations import list_generations

        if request.generation not in list_generations(cluster_of(settings)):
            return "its topics were deleted by another rebuild"
    return None


@contextmanager
def kept_away(settings: Settings, service: Service) -> Iterator[None]:
    """Keep a service from running; wait until it has stopped."""
    start, explained = time.monotonic(), False
    while is_running(settings.home, service.name):
        if not explained and time.monotonic() > start + EXPLAIN_AFTER_S:
            explained = True
            err.print(f"waiting for the {service.title} of {settings.home}, which was started by hand: please stop it")
        time.sleep(POLL_INTERVAL_S)
    with locked(settings.run / f"{service.name}.lock"):
        (settings.run / f"{service.name}.json").unlink(missing_ok=True)  # left by one that was killed
        yield
