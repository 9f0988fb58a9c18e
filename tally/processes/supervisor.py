"""Parts that die are started again. Where one keeps dying, or needs its user, the others go on, and it is tried ever
less often; only one without which nothing is recorded stops the whole, with its reason."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ledger.errors import RESTART_AT_ONCE, TallyError
from ledger.home.presence import announce
from ledger.settings import Settings
from tally.exit import Failure
from tally.output import err
from tally.processes.service import PRODUCT, Child, Part

STEADY_S = 60.0
"""A part that ran so long before it died is as good as new."""
WAITS_S = (0.5, 2.0, 5.0)
"""How long a part rests after its first, second and third death in a row. After one more, it keeps dying."""
LONG_WAITS_S = (15.0, 30.0, 60.0)
"""How long one that keeps dying rests then, and from the last on, where the others can do without it."""


def in_a_row(before: int, ran_s: float) -> int:
    """How many deaths in a row a part has had, with one that came after it was ready for so long (pure)."""
    return 1 if ran_s >= STEADY_S else before + 1


def rest_s(deaths: int, *, ingests: bool) -> float | None:
    """How long it rests after so many deaths in a row; None where it is not started again (pure)."""
    if deaths <= len(WAITS_S):
        return WAITS_S[deaths - 1]
    return None if ingests else LONG_WAITS_S[min(deaths - len(WAITS_S), len(LONG_WAITS_S)) - 1]


class Kept:
    """A part that was ready once, and how it has been since."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.restarts = 0
        self._deaths = 0
        self._ready: float | None = time.monotonic() if child.lives() else None
        self.problem: str | None = None
        """What its user must do before it runs again; None where it needs nobody."""
        self._due: float | None = None

    @property
    def is_ready(self) -> bool:
        return self._ready is not None

    def start(self) -> None:
        """Start it again after it was stopped, and wait until it is ready. Failure where it does not become so."""
        self.child.again()
        self.child.ready()
        self._ready, self._due = time.monotonic(), None

    def look(self, *, may_start: bool) -> bool:
        """See what became of it, and start it again when it is due and that may be; True where that was done.
        Failure where the whole must stop."""
        now = time.monotonic()
        if self._due is not None:
            if now < self._due or not may_start:
                return False
            self._due = None
            self.restarts += 1
            try:
                self.child.again()
            except TallyError as error:  # as on a full disk
                self._due = now + self._borne(Failure(str(error), 2), now)
            return True
        try:
            self.child.check()
        except Failure as death:
            self._due = now + self._borne(death, now)
            self._ready = None
            return False
        if self._ready is None and (facts := self.child.announced()) is not None:
            self._ready, self.problem = now, None
            where = f" at {facts['url']}" if "url" in facts else ""
            err.print(f"[green]✓[/] {self.child.part.called} ready again{where}")
        return False

    def _borne(self, death: Failure, now: float) -> float:
        """After how many seconds it is started again. Failure where it is not."""
        part = self.child.part
        if death.exit_code == RESTART_AT_ONCE:
            err.print(f"{death}\nstarting the {part.called} again", style="yellow", markup=False)
            return 0.0
        asks_user = death.exit_code == 2  # it said what its user must do, and would end like this again
        if asks_user and part.ingests:
            raise death
        self._deaths = in_a_row(self._deaths, 0 if self._ready is None else now - self._ready)
        wait_s = LONG_WAITS_S[-1] if asks_user else rest_s(self._deaths, ingests=part.ingests)
        if wait_s is None:
            raise Failure(f"{death}\nIt died {self._deaths} times in a row, so all is stopped.", death.exit_code)
        if asks_user or self._deaths > len(WAITS_S):
            if self.problem != str(death):  # once, not at every attempt
                again = f"The rest goes on without it; it is tried again in {wait_s:g} s, and then about every minute."
                err.print(f"{death}\n{again}", style="red", markup=False)
            self.problem = str(death)
        else:
            err.print(str(death), style="yellow", markup=False)
            err.print(f"starting the {part.called} again")
        return wait_s


class Supervisor:
    """The parts in the order of their start. Each is started again once those that it needs are ready."""

    def __init__(self, settings: Settings, children: Sequence[Child]) -> None:
        self._settings = settings
        self._kept = [Kept(child) for child in children]
        self._tell()

    def look(self) -> None:
        """See to every part. Failure where the whole must stop."""
        away: set[str] = set()
        for one in self._kept:
            problem = one.problem
            if one.look(may_start=away.isdisjoint(one.child.part.needs)) or one.problem != problem:
                self._tell()
            if not one.is_ready:
                away.add(one.child.part.name)

    @contextmanager
    def without(self, parts: Sequence[Part]) -> Iterator[None]:
        """Have some of the parts stopped meanwhile. Failure where one does not start again."""
        some = [one for one in self._kept if one.child.part in parts]
        for one in reversed(some):
            one.child.stop()
        yield
        for one in some:
            one.start()

    def _tell(self) -> None:
        restarts = {one.child.part.name: one.restarts for one in self._kept}
        problems = {one.child.part.name: one.problem for one in self._kept if one.problem}
        try:
            announce(self._settings.home, PRODUCT, restarts=restarts, problems=problems)
        except TallyError as error:  # as on a full disk
            err.print(str(error), style="red", markup=False)
