"""Read how much of a contract's commitments is used in their present periods, by folding the log again."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from ledger.log import Log, partition_of
from ledger.log.topics import EVENTS
from ledger.money import brief, text
from ledger.pricing.contract import Commitment, Contract
from streams.folds.contracts.coverage import make_usage_key, read_used
from streams.folds.event import EPOCH
from streams.folds.prices.contract_terms import find_period_start, measure_commitment
from streams.folds.state import State
from streams.runtime import read_catalogues
from tally.log.partition_copy import PartitionCopy

_MICROSECOND = timedelta(microseconds=1)
_MAX_DAYS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "month": timedelta(days=32),
    "year": timedelta(days=367),
}
"""A time that leads from the start of each kind of period into the next one."""
Progress = Callable[[int], object]


class CommitmentUsage(NamedTuple):
    """The use of a commitment in one period: units, or pico of the contract's currency. ``used`` may be above the size
    where a later version of the contract made it smaller. Start and end are absent where the contract names none."""

    name: str
    period: str
    kind: str
    start: datetime | None
    end: datetime | None
    size: int
    used: int

    @property
    def left(self) -> int:
        return max(self.size - self.used, 0)

    @property
    def used_percent(self) -> Decimal:
        return (Decimal(100 * self.used) / self.size).quantize(Decimal("0.1"))

    def format_amount(self, amount: int) -> str:
        """Write units as a whole number, and pico as an amount."""
        return f"{amount:,}" if self.kind == "units" else brief(text(amount))

    def as_json(self) -> dict[str, Any]:
        """Return the figures: units as numbers, amounts as exact texts."""
        figures = {
            name: amount if self.kind == "units" else text(amount)
            for name, amount in (("size", self.size), ("used", self.used), ("left", self.left))
        }
        times = {"period_start": _format_time(self.start), "period_end": _format_time(self.end)}
        facts = {"name": self.name, "period": self.period, **times, "kind": self.kind, **figures}
        return facts | {"used_percent": str(self.used_percent)}


def describe_state(contract: Contract, now: datetime) -> str:
    """Describe whether a contract holds at a moment, and until when."""
    if contract.until is not None and now >= contract.until:
        return f"expired {contract.until:%Y-%m-%d %H:%M} UTC, {_count_days(now - contract.until)} ago"
    end = "never expires, until it is ended (`tally contract end`)"
    if contract.until is not None:
        end = f"expires {contract.until:%Y-%m-%d %H:%M} UTC, in {_count_days(contract.until - now)}"
    if contract.since is not None and now < contract.since:
        return f"begins {contract.since:%Y-%m-%d %H:%M} UTC, in {_count_days(contract.since - now)}; {end}"
    return end


def read_usage(
    log: Log, organization: str, contract: Contract, now: datetime, progress: Progress = lambda count: None
) -> list[CommitmentUsage]:
    """Read the use of each commitment up to the log's end: of the period of ``now``, of the last one where the contract
    has expired, and of the first where it begins later."""
    if not contract.commitments:
        return []
    moment = _limit_moment(contract, now)
    partition = partition_of(organization)
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        copy = PartitionCopy(db, log, partition, read_catalogues(log))
        for count, _ in copy.fold(log.end(EVENTS, partition)):
            progress(count)
        return [_measure(organization, contract, part, moment, copy.state) for part in contract.commitments]


def _limit_moment(contract: Contract, now: datetime) -> datetime:
    if contract.until is not None and now >= contract.until:
        return contract.until - _MICROSECOND
    return max(now, contract.since) if contract.since is not None else now


def _measure(
    organization: str, contract: Contract, commitment: Commitment, moment: datetime, state: State
) -> CommitmentUsage:
    key = make_usage_key(contract, commitment, (moment - EPOCH) // _MICROSECOND)
    start, end = contract.since, contract.until
    if commitment.period != "contract":
        period_start = EPOCH + timedelta(microseconds=key.start_us)
        next_us = find_period_start(
            commitment.period, (period_start + _MAX_DAYS[commitment.period] - EPOCH) // _MICROSECOND
        )
        period_end = EPOCH + timedelta(microseconds=next_us)
        start = period_start if start is None else max(start, period_start)
        end = period_end if end is None else min(end, period_end)
    size, used = measure_commitment(commitment), read_used(organization, key, state)
    return CommitmentUsage(commitment.name, commitment.period, key.kind, start, end, size, used)


def _format_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _count_days(time: timedelta) -> str:
    return "less than a day" if time.days == 0 else "1 day" if time.days == 1 else f"{time.days:,} days"
