"""Parts that die are started again. One that needs its user (a damaged file) rests, and the others go on. One that
keeps dying, or without which nothing is recorded, stops the whole with its reason."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ledger.errors import TallyError
from ledger.home import announce
from ledger.settings import Settings
from tally.ending import Failure
from tally.output import err
from tally.parts import API, KAFKA, PRODUCT, Child, Part

STEADY_S = 60.0
"""A part that ran so long before it died is as good as new."""
REST_S = 30.0
"""How long a part rests that said what its user must do (a file is damaged), until it is tried again."""
REQUIRED = (KAFKA.name, API.name)
"""Parts without which nothing is recorded. The product goes on without any other one."""
WAITS_S = (0.5, 2.0, 5.0)
"""How long a part rests after its first, second and third death in a row. After one more, it keeps dying."""


def in_a_row(before: int, ran_s: float) -> int:
    """How many deaths in a row a part has had, with one that came after it was ready for so long (pure)."""
    return 1 if ran_s >= STEADY_S else before + 1


def rest_s(deaths: int) -> float | None:
    """How long it rests after so many deaths in a row; None where it is not started again (pure)."""
    return WAITS_S[deaths - 1] if deaths <= len(WAITS_S) else None


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

    @property
    def holds_up(self) -> bool:
        """Whether those behind it wait for it: not where it waits for its user, which may take days."""
        return not self.is_ready and self.problem is None

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
        if death.exit_code == 2:  # it said what its user must do, so it would end like this again
            if self.child.part.name in REQUIRED:
                raise death
            if self.problem != str(death):
                err.print(
                    f"{death}\nThe rest goes on; it is tried again every {REST_S:.0f} s.", style="red", markup=False
                )
            self.problem = str(death)
            return REST_S
        self._deaths = in_a_row(self._deaths, 0 if self._ready is None else now - self._ready)
        wait_s = rest_s(self._deaths)
        if wait_s is None:
            raise Failure(f"{death}\nIt died {self._deaths} times in a row, so all is stopped.", death.exit_code)
        err.print(str(death), style="yellow", markup=False)
        err.print(f"starting the {self.child.part.called} again")
        return wait_s


class Supervisor:
    """The parts in the order of their start. Each needs some of those before it, so it is started again after them."""

    def __init__(self, settings: Settings, children: Sequence[Child]) -> None:
        self._settings = settings
        self._kept = [Kept(child) for child in children]
        self._tell()

    def look(self) -> None:
        """See to every part. Failure where the whole must stop."""
        all_ready = True
        for one in self._kept:
            problem = one.problem
            if one.look(may_start=all_ready) or one.problem != problem:
                self._tell()
            all_ready = all_ready and not one.holds_up

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
