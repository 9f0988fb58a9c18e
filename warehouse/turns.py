"""Who of the analysts may ask now, so that none can keep the others, or the sink, from being served."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from warehouse.engine import QueryFailed

PLACES = 20
"""How many queries of analysts may be under way at once: waiting, running, or being sent. One more is refused."""

RUNNING = 3
"""How many of them run; with their limits of memory that leaves the sink what it needs. The others wait."""

LOOK_S = 0.2
"""How often it is looked whether who asks is still there."""

TOO_MANY = 202


class Turns:
    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(PLACES)
        self._running = threading.BoundedSemaphore(RUNNING)

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

    @contextmanager
    def turn(self, gone: Callable[[], bool], end: Callable[[], None]) -> Iterator[None]:
        """Wait until it may run. Once who asks is ``gone`` it does not begin (QueryFailed), or is ended."""
        while not self._running.acquire(timeout=LOOK_S):
            if gone():
                raise QueryFailed("Code: 394. DB::Exception: Who asked is gone. (QUERY_WAS_CANCELLED)")
        over = threading.Event()
        watching = threading.Thread(target=_watch, args=(over, gone, end), daemon=True)
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()
            self._running.release()


def _watch(over: threading.Event, gone: Callable[[], bool], end: Callable[[], None]) -> None:
    while not over.wait(LOOK_S):
        if gone():
            end()
