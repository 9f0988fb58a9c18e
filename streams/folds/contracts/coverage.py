"""Coverage: what entries use of the commitments of contracts (docs/rules.md, R16).

A commitment is used in the order of the log. What an entry used of it is kept by the event, so that the entry can be
taken back as it was, and gives back what it used.
"""

from typing import NamedTuple

from ledger.pricing.contract import Commitment, Contract
from streams.folds.event import Event
from streams.folds.prices.contract_terms import Agreement, CompiledCommitment, find_period_start
from streams.folds.state import State

COMMITTED = ("contracts", "committed")
"""By organization: set where any of its contracts ever had a commitment."""
USED = ("contracts", "used")
"""By organization and the fields of ``UsageKey``: the units or pico that entries in force use."""
COVERED = ("contracts", "covered")
"""By organization, source and id of an event: what its entry in force uses, as ``UsageRow``."""


class UsageKey(NamedTuple):
    """One period of a commitment, of which entries use units or an amount. Another of any of these has its own usage:
    units are no amounts, and neither are amounts of two currencies."""

    contract: str
    commitment: str
    period: str
    start_us: int
    kind: str
    currency: str


class UsageRow(NamedTuple):
    """How much of a commitment the line of a class uses: 0 where the line is covered and draws nothing."""

    name: str
    key: UsageKey
    amount: int


def make_usage_key(contract: Contract, commitment: Commitment, time_us: int) -> UsageKey:
    """Return the key of a commitment's period at a moment."""
    start_us = find_period_start(commitment.period, time_us)
    kind, currency = ("units", "") if commitment.amount is None else ("amount", contract.currency)
    return UsageKey(contract.name, commitment.name, commitment.period, start_us, kind, currency)


def read_used(organization: str, key: UsageKey, state: State) -> int:
    """Return the units or pico that entries in force use of a period of a commitment."""
    return state.get((*USED, organization, *key)) or 0


def read_coverage(event: Event, state: State) -> tuple[UsageRow, ...]:
    """Return what the entry in force of an event uses of commitments."""
    if not state.get((*COMMITTED, event.organization)):
        return ()
    rows = state.get((*COVERED, event.organization, event.source, event.id)) or ()
    return tuple(UsageRow(name, UsageKey(*key), amount) for name, key, amount in rows)


def release_coverage(event: Event, state: State) -> None:
    """Give back what the entry in force of an event uses of commitments."""
    rows = read_coverage(event, state)
    for row in rows:
        used = read_used(event.organization, row.key, state)
        state.put((*USED, event.organization, *row.key), used - row.amount)
    if rows:
        state.delete((*COVERED, event.organization, event.source, event.id))


class Coverage:
    """What an entry uses of the commitments of its contract, line by line."""

    def __init__(self, event: Event, agreement: Agreement, state: State, is_new: bool) -> None:
        self._event = event
        self._agreement = agreement
        self._state = state
        self._is_new = is_new
        former = () if is_new or not agreement.commitments else read_coverage(event, state)
        self._former = {row.name: row for row in former}
        self._rows: list[UsageRow] = []

    def cover(self, name: str, quantity: int, contracted: int) -> tuple[int, int]:
        """Return the effective and the billed cost of a line. The first commitment with something left covers it."""
        for part in self._agreement.commitments:
            whole = part.measure(name, quantity, contracted)
            covered = None if whole is None else self._take(part, name, whole)
            if covered is not None:
                return part.split(name, quantity, contracted, covered)
        return contracted, contracted

    def store(self) -> None:
        """Keep what a new entry uses."""
        if self._rows:
            event = self._event
            self._state.put((*COVERED, event.organization, event.source, event.id), tuple(self._rows))

    def _take(self, part: CompiledCommitment, name: str, whole: int) -> int | None:
        """Use a commitment for a line; None where nothing of it is left, or the entry did not use it."""
        key = make_usage_key(self._agreement.contract, part.commitment, self._event.time_us)
        if not self._is_new:
            former = self._former.get(name)
            return former.amount if former is not None and former.key == key else None
        used = read_used(self._event.organization, key, self._state)
        if used >= part.size:
            return None
        covered = min(whole, part.size - used)
        if covered:
            self._state.put((*USED, self._event.organization, *key), used + covered)
        self._rows.append(UsageRow(name, key, covered))
        return covered
