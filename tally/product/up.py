"""Run the embedded product in the foreground: every service, in order, until Ctrl-C or until one keeps crashing."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.markup import escape

from ledger.errors import TallyError
from ledger.home.inspection import find_privacy_problems
from ledger.home.locks import service_lock
from ledger.home.ports import check_port
from ledger.home.presence import find_any_presence
from ledger.log import Log
from ledger.settings import Settings
from tally import dbt_models
from tally.generations import files, switch
from tally.output import err, out, step
from tally.processes.join import using
from tally.processes.service import (
    ALERTS,
    API,
    DASHBOARDS,
    KAFKA,
    METRICS,
    PRODUCT,
    WAREHOUSE,
    Child,
    Service,
    list_needed_services,
    list_pipeline_services,
)
from tally.processes.supervisor import Supervisor
from tally.product.verification import Verification
from tally.session import make_home, opened

POLL_INTERVAL_S = 0.3
MODELS_RETRY_DELAY_S = 60.0
"""Delay before models that could not be built are tried again."""


class Models:
    """The dbt models. They are built once the warehouse is ready; the other services go on without them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._due: float | None = 0.0

    def build(self) -> None:
        """Build the models if the warehouse is ready, they are missing, and no try failed just now."""
        settings = self._settings
        if self._due is None or time.monotonic() < self._due:
            return
        if not settings.warehouse and not find_any_presence(settings, WAREHOUSE.name):
            return
        self._due = None
        try:
            with _timed("checking the dbt models", "dbt models ready"):
                dbt_models.ensure_models(settings)
        except TallyError as error:
            self._due = time.monotonic() + MODELS_RETRY_DELAY_S
            err.print(
                f"{error}\nThe other services continue without them. Next try in {MODELS_RETRY_DELAY_S:g} s.",
                style="red",
                markup=False,
            )


def run(
    settings: Settings,
    fill: Callable[[Log], None] | None = None,
    extra_services: tuple[Service, ...] = (),
    token: str | None = None,
) -> None:
    """Run the product until Ctrl-C or SIGTERM. ``fill`` appends data to the log; ``extra_services`` run as well;
    ``token`` is shown beside the address of the HTTP API.

    Failure where a service fails to start or keeps crashing, TallyError where the product of this home already runs.
    """
    running: list[Child] = []
    try:
        with ExitStack() as stack:
            make_home(settings)
            for problem in find_privacy_problems(settings.home):
                err.print(problem, style="yellow", markup=False)
            stack.enter_context(service_lock(settings.home, PRODUCT))
            _check_ports(settings)

            def start(service: Service) -> None:
                start_time = time.monotonic()
                with step(f"starting the {service.title}"):
                    child = stack.enter_context(using(settings, service, exclusive=True, may_rest=not service.ingests))
                    assert isinstance(child, Child), "an owned service is a child"
                    running.append(child)
                if find_any_presence(settings, service.name):
                    err.print(f"[green]✓[/] {service.title} ready after {time.monotonic() - start_time:.1f} s")
                elif child.is_alive():
                    missing = " and the ".join(need.title for need in list_needed_services(settings, service))
                    err.print(f"[yellow]·[/] {service.title} waits for the {missing}")
                else:
                    err.print(f"[red]✗[/] {service.title} did not start; its reason is in {escape(str(child.log))}")

            if settings.has_own_kafka:
                start(KAFKA)
            log = stack.enter_context(opened(settings, new=True))
            switch.carry_out(settings, log)
            for service in list_pipeline_services(settings):
                start(service)
            if fill:
                fill(log)
            (models := Models(settings)).build()
            for service in (API, ALERTS, DASHBOARDS, METRICS, *extra_services):
                start(service)
            _print_addresses(settings, token)
            supervisor, verification = Supervisor(settings, running), Verification(settings, stack)
            while True:
                supervisor.poll()
                models.build()
                verification.poll()
                if files.read_request(settings):
                    with (
                        _timed("switching to a new generation", "switched"),
                        supervisor.suspended(list_pipeline_services(settings)),
                    ):
                        switch.perform(settings, log)
                time.sleep(POLL_INTERVAL_S)
    except KeyboardInterrupt:
        err.print("stopped")


def _check_ports(settings: Settings) -> None:
    """Report a taken port before anything starts."""
    check_port(settings.dashboards_port, "dashboards", "TALLY_DASHBOARDS_PORT", settings.bind)
    check_port(settings.api_port, "HTTP API", "TALLY_API_PORT", settings.bind)
    check_port(settings.metrics_port, "metrics", "TALLY_METRICS_PORT", settings.bind)
    if not settings.warehouse:
        check_port(settings.warehouse_port, "warehouse", "TALLY_WAREHOUSE_PORT")


@contextmanager
def _timed(activity: str, result: str) -> Iterator[None]:
    start = time.monotonic()
    with step(activity):
        yield
    err.print(f"[green]✓[/] {result} after {time.monotonic() - start:.1f} s")


def _find_url(settings: Settings, service: Service) -> str:
    return str((find_any_presence(settings, service.name) or {}).get("url", "not ready: see above"))


def _print_addresses(settings: Settings, token: str | None) -> None:
    out.print(f"\n[bold]Dashboards[/]  {_find_url(settings, DASHBOARDS)}")
    api_url = _find_url(settings, API)
    out.print(f"[bold]HTTP API[/]    {api_url}/v1/events ({'token ' + token if token else 'tally token create'})")
    warehouse = find_any_presence(settings, WAREHOUSE.name)
    if warehouse:
        out.print(f"[bold]Warehouse[/]   {warehouse['url']} (user and password: tally status)")
    out.print(f"[bold]Metrics[/]     {_find_url(settings, METRICS)}")
    out.print(f"[bold]Data[/]        {escape(str(settings.home.resolve()))}")
    out.print('\nIn another terminal: tally status · tally sql "select …" · tally verify. Ctrl-C stops everything.')
