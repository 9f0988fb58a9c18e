"""The schedule of retries, and the order in which deliveries begin (pure)."""

from collections.abc import Collection, Iterable

RETRY_DELAYS_S = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800)
"""The wait after each failed attempt. After the last, about a day in all, the delivery is given up."""

MAX_CONCURRENT, MAX_CONCURRENT_SLOW = 128, 64
"""Routes that are delivered to at once, and how many of them may be slow."""

SLOW_THRESHOLD_S = 1.0
"""A route is slow where its recent deliveries take longer."""


def next_attempt_ms(attempts: int, now_ms: int) -> int | None:
    """Return when the next attempt is due after so many failed ones; None where the delivery is given up."""
    return now_ms + RETRY_DELAYS_S[attempts - 1] * 1000 if attempts <= len(RETRY_DELAYS_S) else None


class TurnOrder:
    """The order of routes. A slow route competes with slow ones only; one that was never tried is not slow. Among
    equals the one comes first that has waited longest since its last turn."""

    def __init__(self) -> None:
        self._mean_s: dict[str, float] = {}
        self._last_turn: dict[str, int] = {}
        self._turn = 0

    def note(self, route: str, duration_s: float) -> None:
        """Record how long a delivery took. The newest counts for half of the mean, so two or three prompt deliveries
        clear a slow route, and one alone does not."""
        self._mean_s[route] = (self._mean_s.get(route, 0.0) + duration_s) / 2

    def is_slow(self, route: str) -> bool:
        return self._mean_s.get(route, 0.0) > SLOW_THRESHOLD_S

    def choose(self, waiting: Iterable[str], busy: Collection[str]) -> list[str]:
        """Choose the routes whose deliveries begin now, where those of ``busy`` are under way."""
        free_places = MAX_CONCURRENT - len(busy)
        free_slow_places = MAX_CONCURRENT_SLOW - sum(map(self.is_slow, busy))
        chosen: list[str] = []
        for route in sorted(set(waiting) - set(busy), key=lambda name: (self._last_turn.get(name, 0), name)):
            if free_places <= 0:
                break
            if self.is_slow(route):
                if free_slow_places <= 0:
                    continue
                free_slow_places -= 1
            free_places -= 1
            self._turn += 1
            self._last_turn[route] = self._turn
            chosen.append(route)
        return chosen
