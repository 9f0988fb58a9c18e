"""Restart services that crash. Where one keeps crashing, or needs its user, the others continue, and it is retried at
growing intervals; only a service without which nothing is recorded stops the whole, with its reason."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ledger.errors import EXIT_RESTART, TallyError
from ledger.home.presence import announce
from ledger.settings import Settings
from tally.exit import Failure
from tally.output import err
from tally.processes.service import PRODUCT, Child, Service

STABLE_AFTER_S = 60.0
"""A service that was ready for so long starts a new count of crashes."""
RESTART_DELAYS_S = (0.5, 2.0, 5.0)
"""Delays before the restart after the first, second and third crash in a row."""
LONG_RESTART_DELAYS_S = (15.0, 30.0, 60.0)
"""Delays after further crashes, the last one for all that follow, of a service that the others can do without."""


def count_crashes(previous: int, ran_s: float) -> int:
    """Count the crashes in a row, including one after the service was ready for ``ran_s`` seconds (pure)."""
    return 1 if ran_s >= STABLE_AFTER_S else previous + 1


def compute_restart_delay_s(crashes: int, *, ingests: bool) -> float | None:
    """Return the delay before the restart after so many crashes in a row; None for no restart (pure)."""
    if crashes <= len(RESTART_DELAYS_S):
        return RESTART_DELAYS_S[crashes - 1]
    return (
        None if ingests else LONG_RESTART_DELAYS_S[min(crashes - len(RESTART_DELAYS_S), len(LONG_RESTART_DELAYS_S)) - 1]
    )


class SupervisedService:
    """A service that was ready once, with its crashes and restarts."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.restarts = 0
        self._crashes = 0
        self._ready: float | None = time.monotonic() if child.is_alive() else None
        self.problem: str | None = None
        """The reason why it does not run, for its user to repair; None while it needs no repair."""
        self._restart_due: float | None = None

    @property
    def is_ready(self) -> bool:
        return self._ready is not None

    def start(self) -> None:
        """Start the service after a stop, and wait until it is ready. Failure where it does not become ready."""
        self.child.restart()
        self.child.wait_until_ready()
        self._ready, self._restart_due = time.monotonic(), None

    def poll(self, *, may_start: bool) -> bool:
        """Notice a crash, and restart the service when that is due and allowed; True where it was restarted.
        Failure where the whole must stop."""
        now = time.monotonic()
        if self._restart_due is not None:
            if now < self._restart_due or not may_start:
                return False
            self._restart_due = None
            self.restarts += 1
            try:
                self.child.restart()
            except TallyError as error:  # as on a full disk
                self._restart_due = now + self._record_crash(Failure(str(error), 2), now)
            return True
        try:
            self.child.check()
        except Failure as crash:
            self._restart_due = now + self._record_crash(crash, now)
            self._ready = None
            return False
        if self._ready is None and (facts := self.child.read_announcement()) is not None:
            self._ready, self.problem = now, None
            address = f" at {facts['url']}" if "url" in facts else ""
            err.print(f"[green]✓[/] {self.child.service.title} ready again{address}")
        return False

    def _record_crash(self, crash: Failure, now: float) -> float:
        """Return the delay before the restart, in seconds. Failure where there is none."""
        service = self.child.service
        if crash.exit_code == EXIT_RESTART:
            err.print(f"{crash}\nstarting the {service.title} again", style="yellow", markup=False)
            return 0.0
        asks_user = crash.exit_code == 2  # its user must repair something, or it ends like this again
        if asks_user and service.ingests:
            raise crash
        self._crashes = count_crashes(self._crashes, 0 if self._ready is None else now - self._ready)
        delay_s = (
            LONG_RESTART_DELAYS_S[-1] if asks_user else compute_restart_delay_s(self._crashes, ingests=service.ingests)
        )
        if delay_s is None:
            raise Failure(f"{crash}\nStopped after {self._crashes} crashes in a row.", crash.exit_code)
        if asks_user or self._crashes > len(RESTART_DELAYS_S):
            if self.problem != str(crash):  # once, not at every attempt
                outlook = f"The other services continue. Next restart in {delay_s:g} s, then about every minute."
                err.print(f"{crash}\n{outlook}", style="red", markup=False)
            self.problem = str(crash)
        else:
            err.print(str(crash), style="yellow", markup=False)
            err.print(f"starting the {service.title} again")
        return delay_s


class Supervisor:
    """Services in the order of their start. Each is restarted once those that it needs are ready."""

    def __init__(self, settings: Settings, children: Sequence[Child]) -> None:
        self._settings = settings
        self._services = [SupervisedService(child) for child in children]
        self._announce()

    def poll(self) -> None:
        """Poll every service. Failure where the whole must stop."""
        unready: set[str] = set()
        for service in self._services:
            problem = service.problem
            if service.poll(may_start=unready.isdisjoint(service.child.service.needs)) or service.problem != problem:
                self._announce()
            if not service.is_ready:
                unready.add(service.child.service.name)

    @contextmanager
    def suspended(self, selection: Sequence[Service]) -> Iterator[None]:
        """Stop some services meanwhile. Failure where one does not start again."""
        suspended = [service for service in self._services if service.child.service in selection]
        for service in reversed(suspended):
            service.child.stop()
        yield
        for service in suspended:
            service.start()

    def _announce(self) -> None:
        restarts = {service.child.service.name: service.restarts for service in self._services}
        problems = {service.child.service.name: service.problem for service in self._services if service.problem}
        try:
            announce(self._settings.home, PRODUCT, restarts=restarts, problems=problems)
        except TallyError as error:  # as on a full disk
            err.print(str(error), style="red", markup=False)
