"""Who of the analysts may ask now, so that none can keep the others, or the sink, from being served."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from warehouse.embedded.errors import QueryFailed

PLACES = 20
"""How many queries of analysts may be under way at once: waiting, running, or being sent. One more is refused."""

RUNNING = 3
"""How many of them run; with their limits of memory that leaves the sink what it needs. The others wait."""

POLL_INTERVAL_S = 0.2
"""How often it is looked whether who asks is still there, and whether the time is up."""

END_TIMEOUT_S = 5.0
"""How long a query that was told to end, or should have ended by itself, may go on before it is given up."""

MAX_STUCK = 2
"""How many that were given up may still run: they take a core each. One more, and the process must be started again."""

TOO_MANY = 202

Result = TypeVar("Result")


class _Run(Generic[Result]):
    """Work in a thread of its own, which may be given up: whatever becomes of it then is thrown away."""

    def __init__(self, work: Callable[[], Result], discard: Callable[[Result], None], over: Callable[[], None]) -> None:
        self._work, self._discard, self._over = work, discard, over
        self._lock = threading.Lock()
        self._given_up = False
        self._result: Result | None = None
        self._error: Exception | None = None
        self.done = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def result(self) -> Result:
        """What came of it, once it is done."""
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def give_up(self) -> bool:
        """Go on without it; False where it is done after all."""
        with self._lock:
            self._given_up = not self.done.is_set()
            return self._given_up

    def _run(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:  # noqa: BLE001 it is raised where the result is asked for
            self._error = error
        with self._lock:
            self.done.set()
            given_up = self._given_up
        if given_up:
            if self._result is not None:
                self._discard(self._result)
            self._over()


class Turns:
    """The places of analysts, and their turns. ``overrun`` is called when too many queries ignore their end."""

    def __init__(self, overrun: Callable[[], None]) -> None:
        self._places = threading.BoundedSemaphore(PLACES)
        self._running = threading.BoundedSemaphore(RUNNING)
        self._overrun = overrun
        self._counting = threading.Lock()
        self._stuck = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Be one of those that are under way. QueryFailed (202) at once where all places are taken."""
        if not self._places.acquire(blocking=False):
            raise QueryFailed(
                f"Code: {TOO_MANY}. DB::Exception: Too many simultaneous queries: {PLACES} of analysts are under way, "
                "and no more are taken: ask again when one is done. (TOO_MANY_SIMULTANEOUS_QUERIES)"
            )
        try:
            yield
        finally:
            self._places.release()

    def run(
        self,
        work: Callable[[], Result],
        discard: Callable[[Result], None],
        end: Callable[[], None],
        gone: Callable[[], bool],
        max_run_s: float,
    ) -> Result:
        """Wait for a turn, and do the work. QueryFailed (159) where it does not end in time; (394) once who asks is
        ``gone``. Either way its turn is given back, and a result that comes later is discarded."""
        while not self._running.acquire(timeout=POLL_INTERVAL_S):
            if gone():
                raise _cancelled()
        try:
            return self._watched(_Run(work, discard, self._count_less), end, gone, max_run_s)
        finally:
            self._running.release()

    def _watched(
        self, run: _Run[Result], end: Callable[[], None], gone: Callable[[], bool], max_run_s: float
    ) -> Result:
        deadline, left = time.monotonic() + max_run_s + END_TIMEOUT_S, False
        while not run.done.wait(POLL_INTERVAL_S):
            if not left and gone():
                left, deadline = True, time.monotonic() + END_TIMEOUT_S
                end()
            if time.monotonic() >= deadline:
                end()
                if run.give_up():
                    self._count_more()
                    raise _cancelled() if left else _overdue(max_run_s)
        return run.result()

    def _count_more(self) -> None:
        with self._counting:
            self._stuck += 1
            too_many = self._stuck > MAX_STUCK
        if too_many:
            self._overrun()

    def _count_less(self) -> None:
        with self._counting:
            self._stuck -= 1


def _cancelled() -> QueryFailed:
    return QueryFailed("Code: 394. DB::Exception: Who asked is gone. (QUERY_WAS_CANCELLED)")


def _overdue(max_run_s: float) -> QueryFailed:
    return QueryFailed(
        f"Code: 159. DB::Exception: Timeout exceeded: the query took more than {max_run_s:g} seconds and did not end "
        "when told to: a function in it does not look at the time: give it less to do. (TIMEOUT_EXCEEDED)"
    )
