"""Parts that die are started again. Where one keeps dying, or needs its user, the others go on, and it is tried ever
less often; only one without which nothing is recorded stops the whole, with its reason."""

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
"""A part that ran so long before it died is as good as new."""
RESTART_DELAYS_S = (0.5, 2.0, 5.0)
"""How long a part rests after its first, second and third death in a row. After one more, it keeps dying."""
LONG_RESTART_DELAYS_S = (15.0, 30.0, 60.0)
"""How long one that keeps dying rests then, and from the last on, where the others can do without it."""


def count_crashes(previous: int, ran_s: float) -> int:
    """How many deaths in a row a part has had, with one that came after it was ready for so long (pure)."""
    return 1 if ran_s >= STABLE_AFTER_S else previous + 1


def compute_restart_delay_s(crashes: int, *, ingests: bool) -> float | None:
    """How long it rests after so many deaths in a row; None where it is not started again (pure)."""
    if crashes <= len(RESTART_DELAYS_S):
        return RESTART_DELAYS_S[crashes - 1]
    return None if ingests else LONG_RESTART_DELAYS_S[min(crashes - len(RESTART_DELAYS_S), len(LONG_RESTART_DELAYS_S)) - 1]


class SupervisedService:
    """A part that was ready once, and how it has been since."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.restarts = 0
        self._crashes = 0
        self._ready: float | None = time.monotonic() if child.is_alive() else None
        self.problem: str | None = None
        """What its user must do before it runs again; None where it needs nobody."""
        self._restart_due: float | None = None

    @property
    def is_ready(self) -> bool:
        return self._ready is not None

    def start(self) -> None:
        """Start it again after it was stopped, and wait until it is ready. Failure where it does not become so."""
        self.child.restart()
        self.child.wait_until_ready()
        self._ready, self._restart_due = time.monotonic(), None

    def poll(self, *, may_start: bool) -> bool:
        """See what became of it, and start it again when it is due and that may be; True where that was done.
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
        """After how many seconds it is started again. Failure where it is not."""
        service = self.child.service
        if crash.exit_code == EXIT_RESTART:
            err.print(f"{crash}\nstarting the {service.title} again", style="yellow", markup=False)
            return 0.0
        asks_user = crash.exit_code == 2  # it said what its user must do, and would end like this again
        if asks_user and service.ingests:
            raise crash
        self._crashes = count_crashes(self._crashes, 0 if self._ready is None else now - self._ready)
        delay_s = LONG_RESTART_DELAYS_S[-1] if asks_user else compute_restart_delay_s(self._crashes, ingests=service.ingests)
        if delay_s is None:
            raise Failure(f"{crash}\nIt died {self._crashes} times in a row, so all is stopped.", crash.exit_code)
        if asks_user or self._crashes > len(RESTART_DELAYS_S):
            if self.problem != str(crash):  # once, not at every attempt
                outlook = f"The rest goes on without it; it is tried again in {delay_s:g} s, and then about every minute."
                err.print(f"{crash}\n{outlook}", style="red", markup=False)
            self.problem = str(crash)
        else:
            err.print(str(crash), style="yellow", markup=False)
            err.print(f"starting the {service.title} again")
        return delay_s


class Supervisor:
    """The parts in the order of their start. Each is started again once those that it needs are ready."""

    def __init__(self, settings: Settings, children: Sequence[Child]) -> None:
        self._settings = settings
        self._services = [SupervisedService(child) for child in children]
        self._announce()

    def poll(self) -> None:
        """See to every part. Failure where the whole must stop."""
        unready: set[str] = set()
        for service in self._services:
            problem = service.problem
            if service.poll(may_start=unready.isdisjoint(service.child.service.needs)) or service.problem != problem:
                self._announce()
            if not service.is_ready:
                unready.add(service.child.service.name)

    @contextmanager
    def suspended(self, selection: Sequence[Service]) -> Iterator[None]:
        """Have some of the parts stopped meanwhile. Failure where one does not start again."""
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
