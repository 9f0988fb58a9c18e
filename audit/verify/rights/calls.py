"""Calls that were made: by which grants they count, and what that settles (docs/rules.md, R18.2, R18.6 and R19.3)."""

import json
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from audit.verify.rights.admissions import list_candidates
from audit.verify.rights.estimates import add_share
from audit.verify.rights.limits import Amounts, Limit, is_counted, measure, measure_call
from audit.verify.rights.organization_rights import Charge, Lease, OrganizationRights, Reservation
from audit.verify.rights.tree import Grant, find_obstacle
from audit.verify.rights.windows import BUCKETS
from tallystick.rights.leased_names import read_leased_name

Position = tuple[int, int]


class UsedCall(NamedTuple):
    """A call that was made, with the position of its entry."""

    position: Position
    time_us: int
    scopes: Mapping[str, str]
    call: Mapping[str, str | None]
    amounts: Amounts
    grant: str | None = None
    admission: str | None = None


class Counting(NamedTuple):
    """An amount that was counted in a limit, with its bucket and its calls of unknown cost."""

    grant: str
    limit_key: str
    amount: int
    bucket: int
    unknown_calls: int


class Use(NamedTuple):
    """The grants by which a call was counted, at which time, and what it counts in each limit."""

    path: list[str]
    time_us: int
    countings: list[Counting]


class Crossing(NamedTuple):
    """Thresholds of a limit that one event crossed; ``is_past`` only in a window that has ended."""

    grant: str
    limit: Limit
    thresholds: list[int]
    used: int
    is_past: bool = False


class Settlement(NamedTuple):
    """The outcome of a call: ``way`` is settled, late, leased or unasked."""

    way: str
    path: list[str]
    reserved: list[Charge]
    countings: list[Counting]
    overshoot: list[Charge]
    crossings: list[Crossing]


class Uses:
    """The uses of a partition's organizations by the positions of their entries, in a database."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute(
            "CREATE TABLE IF NOT EXISTS uses (record INT, line INT, forgotten_us INT, content TEXT,"
            " PRIMARY KEY (record, line)) WITHOUT ROWID"
        )

    def keep(self, position: Position, use: Use, forgotten_us: int | None) -> None:
        """Keep a use until a moment, or for good."""
        row = *position, forgotten_us, json.dumps(use)
        self._database.execute("REPLACE INTO uses VALUES (?, ?, ?, ?)", row)

    def take(self, position: Position, passed_us: int) -> Use | None:
        """Return the use of an entry and forget it; None where it is forgotten, or counts nothing."""
        query = "DELETE FROM uses WHERE record = ? AND line = ? RETURNING forgotten_us, content"
        row = self._database.execute(query, position).fetchone()
        if row is None or (row[0] is not None and row[0] <= passed_us):
            return None
        path, time_us, countings = json.loads(row[1])
        return Use(path, time_us, [Counting(*counting) for counting in countings])

    def forget(self, now_us: int) -> None:
        """Delete the uses whose time has passed."""
        self._database.execute("DELETE FROM uses WHERE forgotten_us <= ?", (now_us,))


def settle(rights: OrganizationRights, uses: Uses, used_call: UsedCall, now_us: int) -> Settlement:
    """Count a call, and take off what was held for it."""
    name = used_call.admission or ""
    if (reservation := rights.reservations.get(name)) is not None:
        del rights.reservations[name]
        time_us = min(max(used_call.time_us, reservation.admitted_us), now_us)
        settlement = _count(rights, uses, used_call, reservation.path, time_us, now_us, reservation=reservation)
        if reservation.basis is not None:
            add_share(rights, reservation.basis, used_call.amounts, now_us)
        if reservation.is_expired:
            return settlement._replace(way="late")
        return settlement._replace(way="settled", reserved=reservation.charges)
    lease, taken_amounts = _find_lease(rights, name)
    if lease is not None:
        time_us = min(max(used_call.time_us, lease.leased_us), now_us)
        settlement = _count(
            rights, uses, used_call, lease.path, time_us, now_us, lease=lease, taken_amounts=taken_amounts
        )
        return settlement._replace(way="late" if lease.is_expired else "leased")
    time_us = min(used_call.time_us, now_us)
    return _count(rights, uses, used_call, _choose_path(rights, used_call, time_us), time_us, now_us)


def take_back(rights: OrganizationRights, uses: Uses, position: Position, now_us: int) -> Use | None:
    """Take a call out of the buckets in which it was counted, and return what it was; None where it counts nothing."""
    use = uses.take(position, rights.passed_us)
    if use is not None:
        for counting in use.countings:
            limit = rights.find_limit(counting.grant, counting.limit_key, now_us)
            if limit is not None:
                rights.read_meter(rights.tree.grants[counting.grant], limit, now_us)
            meter = rights.load_meter(counting.grant, counting.limit_key)
            meter.take_back(counting.bucket, counting.amount, counting.unknown_calls)
    return use


def amend(rights: OrganizationRights, uses: Uses, use: Use, used_call: UsedCall, now_us: int) -> Settlement:
    """Count a call in place of one that was taken back: by the same grants, at the same time."""
    return _count(rights, uses, used_call, use.path, use.time_us, now_us)


def _find_lease(rights: OrganizationRights, name: str) -> tuple[Lease | None, Mapping[str, int] | None]:
    """Return the lease that a call names, and what its holder took of each measure where the call has a number that no
    call named before."""
    if name in rights.leases:
        return rights.leases[name], None
    leased_name = read_leased_name(name)
    lease = None if leased_name is None else rights.leases.get(leased_name.lease)
    if leased_name is None or lease is None or leased_name.number in lease.named_numbers:
        return None, None
    lease.named_numbers.add(leased_name.number)
    return lease, leased_name.amounts


def _choose_path(rights: OrganizationRights, used_call: UsedCall, time_us: int) -> list[str]:
    """Choose the grants of a call for which nobody asked: of each scope the first that allows it, and all above."""
    path_names: dict[str, None] = {}
    for names in rights.tree.list_holdings(rights.organization, used_call.scopes):
        paths = [rights.tree.list_path(name) for name in list_candidates(names, used_call.grant)]
        fitting = (path for path in paths if find_obstacle(path, used_call.call, time_us) is None)
        path_names |= dict.fromkeys(grant.name for grant in next(fitting, ()))
    return list(path_names)


def _count(
    rights: OrganizationRights, uses: Uses, used_call: UsedCall, path: list[str], time_us: int, now_us: int, *,
    reservation: Reservation | None = None, lease: Lease | None = None, taken_amounts: Mapping[str, int] | None = None,
) -> Settlement:  # fmt: skip
    """Count a call in all limits of some grants, once each. Off a lease goes what was taken for the call, else what it
    counts."""
    limits = rights.list_limits(path, now_us)
    excesses = [_read_excess(rights, grant, limit, now_us) for grant, limit in limits]
    reserved: dict[tuple[str, str], int] = {}
    if reservation is not None:
        reserved = {(charge.grant, charge.limit_key): charge.amount for charge in reservation.charges}
        if not reservation.is_expired:
            rights.commit(reservation.charges, -1)
    countings, crossings = [], []
    for grant, limit in limits:
        held_amount = reserved.get((grant.name, limit.key), 0)
        if taken_amounts is not None:
            held_amount = taken_amounts.get(limit.meter, 0)
        counting = _measure(grant, limit, used_call.amounts, held_amount, time_us)
        if counting is None:
            continue
        countings.append(counting)
        meter = rights.read_meter(grant, limit, now_us)
        crossing = meter.add(limit, counting.bucket, counting.amount, counting.unknown_calls)
        if crossing is not None:
            crossings.append(Crossing(grant.name, limit, *crossing))
        rights.watch(grant.name, limit, meter, now_us)
    taken: list[Charge] = []
    if lease is not None and taken_amounts is not None:
        taken = rights.take_from_lease(lease, [taken_amounts.get(charge.meter, 0) for charge in lease.charges])
    elif lease is not None:
        amounts = {counting[:2]: counting.amount for counting in countings}
        taken = rights.take_from_lease(lease, [amounts.get(charge[:2], 0) for charge in lease.charges])
    if countings:
        uses.keep(used_call.position, Use(path, time_us, countings), _find_forgotten(limits, time_us))
    growths = [
        Charge(grant.name, limit.key, _read_excess(rights, grant, limit, now_us) - excess)
        for (grant, limit), excess in zip(limits, excesses, strict=True) if limit.is_enforced
    ]  # fmt: skip
    overshoot = [growth for growth in growths if growth.amount > 0]
    reserved_charges = [charge for charge in taken if charge.amount]
    return Settlement("unasked", path, reserved_charges, countings, overshoot, crossings)


def _find_forgotten(limits: list[tuple[Grant, Limit]], time_us: int) -> int | None:
    """Return when no limit has held a time for two windows, rounded up to a whole one; None where one always holds
    it."""
    moments = []
    for _, limit in limits:
        window = limit.window
        match window.kind:
            case "total":
                return None
            case "rolling":
                reach_us = 2 * (window.length_us + window.length_us // BUCKETS + 1)
                moments.append(-(-(time_us + reach_us) // window.length_us) * window.length_us)
            case _:
                end_us = window.find_change(time_us)
                assert end_us is not None, "a period of the calendar ends"
                moments.append(window.find_change(end_us) or end_us)
    return max(moments)


def _measure(grant: Grant, limit: Limit, amounts: Amounts, reserved_amount: int, time_us: int) -> Counting | None:
    """Measure a call in a limit; None where it counts nothing there."""
    if not is_counted(limit, amounts):
        return None
    amount = measure_call(limit, amounts, reserved_amount)
    unknown_calls = int(measure(limit, amounts) is None)
    if not amount and not unknown_calls:
        return None
    return Counting(grant.name, limit.key, amount, limit.window.find_bucket(time_us), unknown_calls)


def _read_excess(rights: OrganizationRights, grant: Grant, limit: Limit, now_us: int) -> int:
    return max(0, rights.read_meter(grant, limit, now_us).read_total(limit) - limit.amount)
