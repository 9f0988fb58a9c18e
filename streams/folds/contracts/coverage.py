"""Coverage: what entries use of the commitments of contracts (docs/rules.md, R16).

A commitment is used in the order of the log. What an entry used of it is kept by the event, so that the entry can be
taken back as it was, and gives back what it used.
"""

from streams.folds.event import Event
from streams.folds.prices.contract_terms import Agreement, find_period_start
from streams.folds.state import Key, State

COMMITTED = ("contracts", "committed")
"""By organization: set where any of its contracts ever had a commitment."""
USED = ("contracts", "used")
"""By organization, contract, commitment and period: the units or pico that entries in force use."""
COVERED = ("contracts", "covered")
"""By organization, source and id of an event: what its entry in force uses."""


def release_coverage(event: Event, state: State) -> None:
    """Give back what the entry in force of an event uses of commitments."""
    if not state.get((*COMMITTED, event.organization)):
        return
    key = (*COVERED, event.organization, event.source, event.id)
    for contract, _, commitment, period, amount in state.get(key) or ():
        used_key = _used_key(event.organization, contract, commitment, period)
        state.put(used_key, (state.get(used_key) or 0) - amount)
    if state.get(key) is not None:
        state.delete(key)


class Coverage:
    """What an entry uses of the commitments of its contract, line by line."""

    def __init__(self, event: Event, agreement: Agreement, state: State, is_new: bool) -> None:
        self._event = event
        self._agreement = agreement
        self._state = state
        self._is_new = is_new
        self._key = (*COVERED, event.organization, event.source, event.id)
        former = () if is_new or not agreement.commitments else state.get(self._key) or ()
        self._former = {name: (commitment, amount) for _, name, commitment, _, amount in former}
        self._rows: list[tuple[str, str, str, int, int]] = []

    def cover(self, name: str, quantity: int, contracted: int) -> tuple[int, int]:
        """Return the effective and the billed cost of a line. The first commitment with something left covers it."""
        for part in self._agreement.commitments:
            covered = self._take(part.commitment.name, part.commitment.period, part.size, name,
                                 part.measure(name, quantity, contracted))  # fmt: skip
            if covered:
                return part.split(name, quantity, contracted, covered)
        return contracted, contracted

    def store(self) -> None:
        """Keep what a new entry uses."""
        if self._rows:
            self._state.put(self._key, tuple(self._rows))

    def _take(self, commitment: str, period: str, size: int, name: str, whole: int) -> int:
        if not self._is_new:
            former, amount = self._former.get(name, ("", 0))
            return amount if former == commitment else 0
        contract = self._agreement.contract.name
        start_us = find_period_start(period, self._event.time_us)
        used_key = _used_key(self._event.organization, contract, commitment, start_us)
        used = self._state.get(used_key) or 0
        covered = max(min(whole, size - used), 0)
        if covered:
            self._state.put(used_key, used + covered)
            self._rows.append((contract, name, commitment, start_us, covered))
        return covered


def _used_key(organization: str, contract: str, commitment: str, period: int) -> Key:
    return (*USED, organization, contract, commitment, period)
