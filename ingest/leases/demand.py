"""Demand: what the calls of a grant ask for in a period, and the period before it."""

from collections.abc import Mapping

PERIOD_S = 10
MIN_ASKS = 20
"""A grant is busy where so many calls of a period were allowed by it."""
SPARE = 2
"""A lease is asked for so many times what the calls of a period may take."""


class Demand:
    """Calls and their amounts by measure, counted by the period."""

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self._calls, self._former_calls = 0, 0
        self._amounts: dict[str, int] = {}
        self._former_amounts: dict[str, int] = {}

    def add(self, amounts: Mapping[str, int], now_s: float) -> None:
        """Count a call, and the most that it may take of each measure."""
        self._turn(now_s)
        self._calls += 1
        for measure, amount in amounts.items():
            self._amounts[measure] = self._amounts.get(measure, 0) + amount

    def is_busy(self, now_s: float) -> bool:
        self._turn(now_s)
        return max(self._calls, self._former_calls) >= MIN_ASKS

    def is_idle(self, now_s: float) -> bool:
        """Tell whether no call came in this period and the one before."""
        self._turn(now_s)
        return not (self._calls or self._former_calls)

    def find_amounts(self, now_s: float) -> dict[str, int]:
        """Return the amounts to lease: what the busier of both periods took, and as much to spare."""
        self._turn(now_s)
        measures = dict.fromkeys([*self._former_amounts, *self._amounts])
        return {
            measure: max(1, SPARE * max(self._amounts.get(measure, 0), self._former_amounts.get(measure, 0)))
            for measure in measures
        }

    def _turn(self, now_s: float) -> None:
        if now_s < self._since_s + PERIOD_S:
            return
        is_next = now_s < self._since_s + 2 * PERIOD_S
        self._former_calls, self._former_amounts = (self._calls, self._amounts) if is_next else (0, {})
        self._calls, self._amounts, self._since_s = 0, {}, now_s
