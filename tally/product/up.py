"""The embedded product in the foreground: every part, in order, until Ctrl-C or until one of them keeps dying."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.markup import escape

from ledger.errors import TallyError
from ledger.home.inspection import privacy_problems
from ledger.home.locks import only_one
from ledger.home.ports import free_port
from ledger.home.presence import ready
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
    Part,
    needs,
    storing,
)
from tally.processes.supervisor import Supervisor
from tally.session import make_home, opened

WATCH_S = 0.3
MODELS_RETRY_DELAY_S = 60.0
"""After how long models that could not be built are tried again."""


class Models:
    """The dbt models, which are built once the warehouse is there; without them all else goes on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._due: float | None = 0.0

    def build(self) -> None:
        """Build them where they are missing, the warehouse is ready, and they were not tried just now."""
        settings = self._settings
        if self._due is None or time.monotonic() < self._due:
            return
        if not settings.warehouse and not ready(settings, WAREHOUSE.name):
            return
        self._due = None
        try:
            with _timed("looking at the dbt models", "dbt models there"):
                dbt_models.ensure(settings)
        except TallyError as error:
            self._due = time.monotonic() + MODELS_RETRY_DELAY_S
            again = f"The rest goes on without them; they are tried again in {MODELS_RETRY_DELAY_S:g} s."
            err.print(f"{error}\n{again}", style="red", markup=False)


def run(
    settings: Settings,
    fill: Callable[[Log], None] | None = None,
    also: tuple[Part, ...] = (),
    token: str | None = None,
) -> None:
    """Run the product until Ctrl-C or SIGTERM. ``fill`` puts data on the log; ``also`` are further parts;
    ``token`` is shown to who looks, for the HTTP door.

    Failure where a part fails to start or keeps dying, TallyError where the product of this home already runs.
    """
    running: list[Child] = []
    try:
        with ExitStack() as stack:
            make_home(settings)
            for problem in privacy_problems(settings.home):
                err.print(problem, style="yellow", markup=False)
            stack.enter_context(only_one(settings.home, PRODUCT))
            # Said now, not when all else has started.
            free_port(settings.dashboards_port, "dashboards", "TALLY_DASHBOARDS_PORT", settings.bind)
            free_port(settings.api_port, "HTTP door", "TALLY_API_PORT", settings.bind)
            free_port(settings.metrics_port, "metrics", "TALLY_METRICS_PORT", settings.bind)
            if not settings.warehouse:
                free_port(settings.warehouse_port, "warehouse", "TALLY_WAREHOUSE_PORT")

            def start(part: Part) -> None:
                begun = time.monotonic()
                with step(f"starting the {part.called}"):
                    child = stack.enter_context(using(settings, part, own=True, rests=not part.ingests))
                    assert isinstance(child, Child), "what is owned is a child"
                    running.append(child)
                if ready(settings, part.name):
                    err.print(f"[green]✓[/] {part.called} ready after {time.monotonic() - begun:.1f} s")
                elif child.lives():
                    missing = " and the ".join(needed.called for needed in needs(settings, part))
                    err.print(f"[yellow]·[/] {part.called} waits for the {missing}")
                else:
                    err.print(f"[red]✗[/] {part.called} did not start; its reason is in {escape(str(child.log))}")

            if settings.brings_kafka:
                start(KAFKA)
            log = stack.enter_context(opened(settings, new=True))
            switch.carried_out(settings, log)
            for part in storing(settings):
                start(part)
            if fill:
                fill(log)
            models = Models(settings)
            models.build()
            for part in (API, ALERTS, DASHBOARDS, METRICS, *also):
                start(part)
            _tell_addresses(settings, token)
            supervisor = Supervisor(settings, running)
            while True:
                supervisor.look()
                models.build()
                if files.asked(settings):
                    with _timed("switching to a new generation", "switched"), supervisor.without(storing(settings)):
                        switch.perform(settings, log)
                time.sleep(WATCH_S)
    except KeyboardInterrupt:
        err.print("stopped")


@contextmanager
def _timed(doing: str, done: str) -> Iterator[None]:
    begun = time.monotonic()
    with step(doing):
        yield
    err.print(f"[green]✓[/] {done} after {time.monotonic() - begun:.1f} s")


def _url(settings: Settings, part: Part) -> str:
    return str((ready(settings, part.name) or {}).get("url", "not ready: see above"))


def _tell_addresses(settings: Settings, token: str | None) -> None:
    out.print(f"\n[bold]Dashboards[/]  {_url(settings, DASHBOARDS)}")
    out.print(
        f"[bold]HTTP door[/]   {_url(settings, API)}/v1/events ({'token ' + token if token else 'tally token create'})"
    )
    warehouse = ready(settings, "warehouse")
    if warehouse:
        out.print(f"[bold]Warehouse[/]   {warehouse['url']} (user and password: tally status)")
    out.print(f"[bold]Metrics[/]     {_url(settings, METRICS)}")
    out.print(f"[bold]Data[/]        {escape(str(settings.home.resolve()))}")
    out.print('\nIn another terminal: tally status · tally sql "select …" · tally verify. Ctrl-C stops all.')
