"""The rights of an organization: its grants with their meters, and what is reserved and leased of them."""

import heapq
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from audit.verify.rights.limits import Limit
from audit.verify.rights.meters import Meter
from audit.verify.rights.tree import Grant, Tree

LATE_US = 86_400_000_000
"""The time for which a reservation or a lease that expired still tells what a late call is charged to."""
METER, RESERVATION, LEASE = "meter", "reservation", "lease"


class Charge(NamedTuple):
    """An amount of a limit of a grant."""

    grant: str
    limit_key: str
    amount: int

    @property
    def meter(self) -> str:
        return self.limit_key.partition("/")[0]


class Basis(NamedTuple):
    """The most that an admitted call may cost, and the grants and the model in whose history its share goes."""

    grants: list[str]
    model: str
    billed: int | None
    notional: int | None
    tokens: int | None
    currency: str | None


class History(msgspec.Struct):
    """The shares that the last calls of a grant and a model cost of the most that they could, in parts per million, of
    billed cost, list cost and tokens; and when they are forgotten."""

    shares: list[tuple[int, int, int]] = []
    forgotten_us: int = 0


class Reservation(msgspec.Struct):
    """The charges that an admission holds, or held until it expired."""

    path: list[str]
    charges: list[Charge]
    admitted_us: int
    expires_us: int
    is_expired: bool = False
    basis: Basis | None = None  # of an estimate


class Lease(msgspec.Struct):
    """The charges that a lease still holds, and the numbers of the admissions from it that a call has named."""

    path: list[str]
    charges: list[Charge]
    leased_us: int
    expires_us: int
    is_expired: bool = False
    named_numbers: set[int] = set()


class Rearming(NamedTuple):
    """Thresholds of a limit that time has armed again."""

    grant: str
    limit: Limit
    thresholds: list[int]


class Expiry(NamedTuple):
    """The end of a reservation or a lease, with the charges that it held."""

    kind: str
    name: str
    expires_us: int
    charges: list[Charge]


class OrganizationRights(msgspec.Struct):
    """The rights of an organization, and an agenda of the moments at which time alone changes something."""

    organization: str
    tree: Tree = msgspec.field(default_factory=Tree)
    meters: dict[str, dict[str, Meter]] = {}
    reservations: dict[str, Reservation] = {}
    leases: dict[str, Lease] = {}
    histories: dict[str, dict[str, History]] = {}
    agenda: list[tuple[int, str, str, str]] = []
    passed_us: int = 0  # up to here the agenda is done
    rearmings: list[Rearming] = []
    """Thresholds that were armed again, which is not told yet."""

    def read_meter(self, grant: Grant, limit: Limit, now_us: int) -> Meter:
        """Return the meter of a limit with its clock at now."""
        meter = self.load_meter(grant.name, limit.key)
        if thresholds := meter.move(limit, now_us):
            self.rearmings.append(Rearming(grant.name, limit, thresholds))
        self.watch(grant.name, limit, meter, now_us)
        return meter

    def load_meter(self, grant: str, limit_key: str) -> Meter:
        return self.meters.setdefault(grant, {}).setdefault(limit_key, Meter())

    def watch(self, grant: str, limit: Limit, meter: Meter, now_us: int) -> None:
        """Put the next moment on the agenda at which time may arm a threshold again, if one is not armed."""
        if meter.crossed_thresholds and not meter.is_due:
            moment_us = limit.window.find_change(now_us)
            if moment_us is not None:
                meter.is_due = True
                heapq.heappush(self.agenda, (moment_us, METER, grant, limit.key))

    def find_limit(self, grant: str, limit_key: str, now_us: int) -> Limit | None:
        limits = self.tree.grants[grant].list_limits(now_us)
        return next((limit for limit in limits if limit.key == limit_key), None)

    def list_limits(self, path: list[str], now_us: int) -> list[tuple[Grant, Limit]]:
        """List the limits of some grants at a moment."""
        grants = [self.tree.grants[name] for name in path]
        return [(grant, limit) for grant in grants for limit in grant.list_limits(now_us)]

    def reserve(self, name: str, reservation: Reservation) -> None:
        self.reservations[name] = reservation
        self.commit(reservation.charges, 1)
        heapq.heappush(self.agenda, (reservation.expires_us, RESERVATION, name, ""))

    def lease(self, name: str, lease: Lease) -> None:
        self.leases[name] = lease
        self.commit(lease.charges, 1)
        heapq.heappush(self.agenda, (lease.expires_us, LEASE, name, ""))

    def take_from_lease(self, lease: Lease, amounts: list[int]) -> list[Charge]:
        """Take amounts off what a lease holds, one of each of its charges, and no more than it holds; return them."""
        taken = [
            charge._replace(amount=min(charge.amount, amount))
            for charge, amount in zip(lease.charges, amounts, strict=True)
        ]
        self.commit(taken, -1)
        lease.charges = [
            charge._replace(amount=charge.amount - part.amount)
            for charge, part in zip(lease.charges, taken, strict=True)
        ]
        return taken

    def commit(self, charges: list[Charge], sign: int) -> None:
        """Reserve or lease amounts, or with a sign of -1 take them off."""
        for charge in charges:
            self.load_meter(charge.grant, charge.limit_key).committed += sign * charge.amount

    def pass_time(self, until_us: int, now_us: int) -> Iterator[Expiry]:
        """Yield what expires up to a moment, in the order of time. ``now_us`` is the log's time, not before it."""
        self.passed_us = max(self.passed_us, until_us)
        while self.agenda and self.agenda[0][0] <= until_us:
            due_us, kind, name, limit_key = heapq.heappop(self.agenda)
            if kind == METER:
                meter = self.load_meter(name, limit_key)
                meter.is_due = False
                limit = self.find_limit(name, limit_key, now_us)
                if limit is not None:
                    self.read_meter(self.tree.grants[name], limit, now_us)
            else:
                yield from self._expire(kind, name, due_us)

    def _expire(self, kind: str, name: str, due_us: int) -> Iterator[Expiry]:
        """Expire a reservation or a lease, or a day later forget it. One that is gone, or another of its name, is not
        due."""
        holders: dict[str, Reservation] | dict[str, Lease]
        holders = self.reservations if kind == RESERVATION else self.leases
        holder = holders.get(name)
        if holder is None or due_us != holder.expires_us + (LATE_US if holder.is_expired else 0):
            return
        if holder.is_expired:
            del holders[name]
            return
        self.commit(holder.charges, -1)
        charges, holder.is_expired = holder.charges, True
        if isinstance(holder, Lease):
            holder.charges = [charge._replace(amount=0) for charge in charges]
        heapq.heappush(self.agenda, (holder.expires_us + LATE_US, kind, name, ""))
        yield Expiry(kind, name, holder.expires_us, [charge for charge in charges if charge.amount])
