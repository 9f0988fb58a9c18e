"""Slots for the queries of analysts, so that none can block the others or the sink."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from warehouse.embedded.errors import QueryFailed, build_busy_error

MAX_QUERIES = 20
"""Queries of analysts that may wait, run or be sent at once. One more is refused."""

MAX_RUNNING_QUERIES = 3
"""Queries of analysts that run at once; with their memory limits that leaves the sink its memory. The others wait."""

POLL_INTERVAL_S = 0.2
"""Interval of the checks for a gone client and for the timeout."""

END_TIMEOUT_S = 5.0
"""Time that a cancelled or overdue query may go on before it is abandoned."""

MAX_STUCK_QUERIES = 2
"""Abandoned queries that may still run, each on a core. With one more the process is started again."""

Result = TypeVar("Result")


class _QueryRun(Generic[Result]):
    """Work in a thread of its own. Once it is abandoned, its result is discarded."""

    def __init__(
        self, work: Callable[[], Result], discard: Callable[[Result], None], on_end: Callable[[], None]
    ) -> None:
        self._work, self._discard, self._on_end = work, discard, on_end
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._result: Result | None = None
        self._error: Exception | None = None
        self.finished = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def result(self) -> Result:
        """Return the result of the finished work, or raise its error."""
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def abandon(self) -> bool:
        """Abandon the work. Return False where it has finished."""
        with self._lock:
            self._is_abandoned = not self.finished.is_set()
            return self._is_abandoned

    def _run(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:  # noqa: BLE001 it is raised where the result is asked for
            self._error = error
        with self._lock:
            self.finished.set()
            is_abandoned = self._is_abandoned
        if is_abandoned:
            if self._result is not None:
                self._discard(self._result)
            self._on_end()


class QuerySlots:
    """The slots of analysts. ``on_overrun`` is called when too many abandoned queries still run."""

    def __init__(self, on_overrun: Callable[[], None]) -> None:
        self._slots = threading.BoundedSemaphore(MAX_QUERIES)
        self._running_slots = threading.BoundedSemaphore(MAX_RUNNING_QUERIES)
        self._on_overrun = on_overrun
        self._count_lock = threading.Lock()
        self._stuck_count = 0

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Hold a slot. QueryFailed (202) at once where all are taken."""
        if not self._slots.acquire(blocking=False):
            raise build_busy_error(
                f"{MAX_QUERIES} of analysts are under way, and no more are taken: ask again when one is done"
            )
        try:
            yield
        finally:
            self._slots.release()

    def run(
        self,
        work: Callable[[], Result],
        discard: Callable[[Result], None],
        kill: Callable[[], None],
        is_client_gone: Callable[[], bool],
        max_run_s: float,
    ) -> Result:
        """Wait for a running slot, and do the work. QueryFailed (159) where it does not end in time, (394) once the
        client is gone. Either way the slot is released, and a later result is discarded."""
        while not self._running_slots.acquire(timeout=POLL_INTERVAL_S):
            if is_client_gone():
                raise _cancellation_error()
        try:
            return self._await_result(_QueryRun(work, discard, self._remove_stuck), kill, is_client_gone, max_run_s)
        finally:
            self._running_slots.release()

    def _await_result(
        self, run: _QueryRun[Result], kill: Callable[[], None], is_client_gone: Callable[[], bool], max_run_s: float
    ) -> Result:
        deadline, is_cancelled = time.monotonic() + max_run_s + END_TIMEOUT_S, False
        while not run.finished.wait(POLL_INTERVAL_S):
            if not is_cancelled and is_client_gone():
                is_cancelled, deadline = True, time.monotonic() + END_TIMEOUT_S
                kill()
            if time.monotonic() >= deadline:
                kill()
                if run.abandon():
                    self._add_stuck()
                    raise _cancellation_error() if is_cancelled else _timeout_error(max_run_s)
        return run.result()

    def _add_stuck(self) -> None:
        with self._count_lock:
            self._stuck_count += 1
            is_overrun = self._stuck_count > MAX_STUCK_QUERIES
        if is_overrun:
            self._on_overrun()

    def _remove_stuck(self) -> None:
        with self._count_lock:
            self._stuck_count -= 1


def _cancellation_error() -> QueryFailed:
    return QueryFailed("Code: 394. DB::Exception: The client disconnected. (QUERY_WAS_CANCELLED)")


def _timeout_error(max_run_s: float) -> QueryFailed:
    return QueryFailed(
        f"Code: 159. DB::Exception: Timeout exceeded: the query took more than {max_run_s:g} seconds and did not end "
        "when it was cancelled, since one of its functions checks no time limit: reduce its input. (TIMEOUT_EXCEEDED)"
    )
