"""Turns: a lock that threads get in the order in which they asked for it."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets one thread work at a time, in order. ``threading.Lock`` is not fair: a thread that takes it again and again
    keeps the others waiting."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._is_busy = False
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and keep it until the end of the block."""
        self._wait()
        try:
            yield
        finally:
            self._pass_on()

    def _wait(self) -> None:
        place = threading.Lock()
        with self._guard:
            if not self._is_busy:
                self._is_busy = True
                return
            place.acquire()
            self._waiting.append(place)
        place.acquire()  # until the thread before passes its turn on

    def _pass_on(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_busy = False
