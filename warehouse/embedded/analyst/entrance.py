"""Refuse analysts for a while after their statements have ended the warehouse again and again.

The warehouse is started again at once, so ingestion and dashboards wait for seconds only. If it kept ending, its
supervisor would lengthen the pause before each restart (``tally/processes/supervisor.py``); so the analysts wait
instead, for longer than the supervisor needs to call the warehouse steady.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from warehouse.embedded.errors import build_busy_error

FILE = "analysts.json"
"""The file, among the warehouse's temporary files, with the times of these ends, and whether a statement runs."""

MAX_DEATHS = 1
"""Ends of the warehouse within ``DEATHS_S`` after which analysts are still served."""

DEATHS_S = 600.0
SHUT_S = 70.0

Clock = Callable[[], float]


def read_deaths(folder: Path, now: float) -> list[float]:
    """Read the times at which the warehouse ended under analysts' statements, with now if the last process left some
    running. Empty where the file cannot be read: it is this process's own, and its loss lets analysts in."""
    try:
        state = json.loads((folder / FILE).read_text())
        deaths = [float(death) for death in state["deaths"] if now - float(death) < DEATHS_S]
        return [*deaths, now] if state["running"] else deaths
    except (OSError, ValueError, KeyError, TypeError):
        return []


class Entrance:
    """Count the statements that run, in a file that outlives the process."""

    def __init__(self, folder: Path, deaths: Sequence[float], now: Clock = time.time) -> None:
        self._path, self._deaths, self._now = folder / FILE, list(deaths), now
        self._lock = threading.Lock()
        self._running = 0
        self._write(is_running=False)

    def check(self) -> None:
        """Raise QueryFailed (202) while analysts are refused."""
        if len(self._deaths) <= MAX_DEATHS:
            return
        wait_s = self._deaths[-1] + SHUT_S - self._now()
        if wait_s > 0:
            raise build_busy_error(
                f"the warehouse ended {len(self._deaths)} times under analysts' statements within {DEATHS_S / 60:g} "
                f"minutes, so it takes none for {wait_s:.0f} seconds: ask again then, and for less at a time"
            )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count a statement as running."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def close(self) -> None:
        """Record that the warehouse was asked to end: the statements that still run did not end it."""
        with self._lock:
            self._write(is_running=False)

    def _count(self, change: int) -> None:
        with self._lock:
            before, self._running = self._running, self._running + change
            if bool(before) != bool(self._running):
                self._write(is_running=self._running > 0)

    def _write(self, *, is_running: bool) -> None:
        with suppress(OSError):  # on a full disk: a death is not counted then, and analysts' answers go on
            self._path.write_text(json.dumps({"deaths": self._deaths, "running": is_running}))
