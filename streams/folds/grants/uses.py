"""Uses: what a call that was made counts, by the grants of its admission, of its lease, or, where nobody asked, of its
scopes.

A call counts in the bucket of its own time: one that was admitted never before its admission, and none after now, so a
source's clock cannot move spend out of the window that it was admitted in. A use is kept as long as a window may hold
it, so what takes an entry back takes the same amounts out of the same buckets.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from streams.folds.grants.admission import (
    LEASE,
    RESERVATION,
    Charge,
    Reservation,
    list_candidates,
    load_reservation,
    uncharge,
)
from streams.folds.grants.estimates import add_sample
from streams.folds.grants.leases import claim_lease, load_lease, take_from_lease
from streams.folds.grants.limits import Amounts, Limit, is_measured, measure, measure_actual
from streams.folds.grants.meters import NAME, Crossing, MeterKey, read_meter, spend, unspend
from streams.folds.grants.tree import find_limit, find_outside, list_holdings, list_limits, load_grant, load_path
from streams.folds.grants.windows import BUCKETS
from streams.folds.state import Key, State
from tallystick.rights.leased_names import read_leased_name
from tallystick.rights.sets import Call

USE = "use"


class Counted(NamedTuple):
    """The amount that a call counts in a meter, and its bucket."""

    grant: str
    limit_key: str
    amount: int
    bucket: int
    unknown_calls: int


class Use(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The amounts that a call counted, so that they can be taken back."""

    grants: tuple[str, ...]
    counted_us: int
    amounts: tuple[Counted, ...]


class UsedCall(NamedTuple):
    """A call that was made. ``position`` is that of its entry."""

    organization: str
    position: tuple[int, int]
    time_us: int
    scopes: Mapping[str, str]
    call: Call
    amounts: Amounts
    grant: str | None = None
    admission: str | None = None


class Settlement(NamedTuple):
    """The outcome of a call. ``way``: settled, late, leased or unasked. ``overshoot`` is by how much limits that are
    enforced are exceeded more than before; ``outside`` are scopes with grants of which none allows it. It counts in the
    bucket of ``counted_us``."""

    way: str
    grants: tuple[str, ...] = ()
    reserved: tuple[Charge, ...] = ()
    counted: tuple[Counted, ...] = ()
    overshoot: tuple[Charge, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    outside: tuple[str, ...] = ()
    counted_us: int = 0


def settle(state: State, used_call: UsedCall, now_us: int) -> Settlement:
    """Count a call, and take back what was held for it."""
    organization, admission = used_call.organization, used_call.admission
    if admission is not None:
        key: Key = (NAME, RESERVATION, organization, admission)
        if (reservation := load_reservation(state, key)) is not None:
            settlement = _count(
                state, used_call, reservation.grants, reservation.admitted_us, now_us, reservation=reservation
            )
            state.delete(key)
            if reservation.basis is not None:
                add_sample(state, organization, reservation.basis, used_call.amounts, now_us)
            way, charges = ("late", ()) if reservation.is_expired else ("settled", reservation.charges)
            return settlement._replace(way=way, reserved=charges)
        if (leased := _settle_leased(state, used_call, admission, now_us)) is not None:
            return leased
    counted_us = min(used_call.time_us, now_us)
    names, outside = _find_grants(state, used_call, counted_us)
    return _count(state, used_call, names, counted_us, now_us)._replace(outside=outside)


def take_back(state: State, organization: str, position: tuple[int, int], now_us: int) -> Use | None:
    """Take a use out of its buckets, and return it; None where nothing was counted, or no window holds it any more."""
    key: Key = (NAME, USE, organization, *position)
    row = state.get(key)
    if row is None:
        return None
    use = row if type(row) is Use else msgspec.convert(row, Use)
    for counted in use.amounts:
        meter_key = MeterKey(organization, counted.grant, counted.limit_key)
        limit = find_limit(state, meter_key, now_us)
        unspend(state, meter_key, limit, counted.amount, counted.bucket, now_us, unknown_calls=counted.unknown_calls)
    state.delete(key)
    return use


def amend(state: State, use: Use, used_call: UsedCall, now_us: int) -> Settlement:
    """Count a call in place of a use that was taken back: by the same grants, at the same time."""
    moved = used_call._replace(time_us=use.counted_us)
    return _count(state, moved, use.grants, use.counted_us, now_us)._replace(way="amended")


def _settle_leased(state: State, used_call: UsedCall, admission: str, now_us: int) -> Settlement | None:
    """Count a call of a lease; None where it names none. The lease's own name takes off what the call counts, the name
    of an admission from it what its holder took for the call."""
    organization, name, draw = used_call.organization, admission, None
    lease = load_lease(state, (NAME, LEASE, organization, admission))
    if lease is None:
        leased_name = read_leased_name(admission)
        lease = None if leased_name is None else claim_lease(state, organization, leased_name)
        if leased_name is None or lease is None:
            return None
        name, draw = leased_name.lease, leased_name.amounts
    settlement = _count(state, used_call, lease.grants, lease.leased_us, now_us, lease=name, draw=draw)
    return settlement._replace(way="late" if lease.is_expired else "leased")


def _find_grants(state: State, used_call: UsedCall, time_us: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the grants that a call is charged to for which nobody asked, and the scopes in which none allows it."""
    names, outside = dict[str, None](), []
    for dimension, holdings in list_holdings(state, used_call.organization, used_call.scopes):
        for name in list_candidates(holdings, used_call.grant):
            path = load_path(state, used_call.organization, name)
            if find_outside(path, used_call.call, time_us) is None:
                names.update(dict.fromkeys(grant.name for grant in path))
                break
        else:
            outside.append(dimension)
    return tuple(names), tuple(outside)


def _count(
    state: State, used_call: UsedCall, grants: Sequence[str], admitted_us: int, now_us: int, *,
    reservation: Reservation | None = None, lease: str | None = None, draw: Mapping[str, int] | None = None,
) -> Settlement:  # fmt: skip
    """Count a call in all limits of some grants, once each, and take back what was held for it: its reservation, or of
    its lease what was taken for it, by measure, else what it counts."""
    organization, amounts = used_call.organization, used_call.amounts
    counted_us = min(max(used_call.time_us, admitted_us), now_us)
    counts: list[Counted] = []
    overshoots: list[Charge] = []
    crossings: list[Crossing] = []
    limits = _list_limits(state, organization, grants, now_us)
    excess = {key: _read_excess(state, key, limit, now_us) for key, limit in limits}
    charges = () if reservation is None else reservation.charges
    reserved = {(charge.grant, charge.limit_key): charge.amount for charge in charges}
    if reservation is not None and not reservation.is_expired:
        uncharge(state, organization, charges)
    for key, limit in limits:
        if not is_measured(limit, amounts):
            continue
        charge_amount = reserved.get((key.grant, key.limit_key), 0) if draw is None else draw.get(limit.meter, 0)
        amount = measure_actual(limit, amounts, charge_amount)
        unknown_calls = int(measure(limit, amounts) is None)
        if not amount and not unknown_calls:
            continue
        crossing = spend(state, key, limit, amount, counted_us, now_us, unknown_calls=unknown_calls)
        crossings += [crossing] if crossing is not None else []
        bucket = limit.window.find_bucket(counted_us)
        counts.append(Counted(key.grant, key.limit_key, amount, bucket, unknown_calls))
    if lease is not None:
        charges = _take_lease(state, organization, lease, counts, draw)
    for key, limit in limits:
        growth = _read_excess(state, key, limit, now_us) - excess[key]
        if growth > 0 and limit.is_enforced:
            overshoots.append(Charge(key.grant, key.limit_key, growth))
    if counts:
        due_us = _find_forgotten(limits, counted_us)
        if due_us is None or due_us > now_us:  # else it is forgotten at once, also for the events of this record
            use = Use(tuple(grants), counted_us, tuple(counts))
            state.put((NAME, USE, organization, *used_call.position), use, due_us)
    return Settlement(
        "unasked", tuple(grants), charges, tuple(counts), tuple(overshoots), tuple(crossings), counted_us=counted_us
    )


def _take_lease(
    state: State, organization: str, name: str, counts: Sequence[Counted], draw: Mapping[str, int] | None
) -> tuple[Charge, ...]:
    """Take off what a lease holds what was taken for a call by measure, else what the call counted. Return it."""
    key: Key = (NAME, LEASE, organization, name)
    lease = load_lease(state, key)
    assert lease is not None, "it was found"
    if draw is None:
        amounts = {(counted.grant, counted.limit_key): counted.amount for counted in counts}
    else:
        amounts = {
            (charge.grant, charge.limit_key): draw.get(charge.limit_key.partition("/")[0], 0)
            for charge in lease.charges
        }
    charges = tuple(
        charge._replace(amount=min(charge.amount, amounts.get((charge.grant, charge.limit_key), 0)))
        for charge in lease.charges
    )
    take_from_lease(state, key, lease, charges)
    return tuple(charge for charge in charges if charge.amount)


def _list_limits(state: State, organization: str, grants: Sequence[str], now_us: int) -> list[tuple[MeterKey, Limit]]:
    return [
        (MeterKey(organization, name, limit.key), limit)
        for name in grants
        if (grant := load_grant(state, organization, name)) is not None
        for limit in list_limits(grant, now_us)
    ]


def _read_excess(state: State, key: MeterKey, limit: Limit, now_us: int) -> int:
    meter = read_meter(state, key, limit, now_us)
    return max(0, meter.used + meter.committed - limit.amount)


def _find_forgotten(limits: Sequence[tuple[MeterKey, Limit]], time_us: int) -> int | None:
    """Return when no meter has the bucket of a time any more; None where one always has. It is rounded up to a whole
    window, so that a partition in which nothing arrives gets no tick for each call."""
    moments = []
    for _, limit in limits:
        window = limit.window
        if window.kind == "total":
            return None
        if window.kind == "rolling":
            last_us = time_us + 2 * (window.length_us + window.length_us // BUCKETS + 1)
            moments.append(-(-last_us // window.length_us) * window.length_us)
        else:
            end_us = window.find_end(time_us)
            assert end_us is not None, "a period of the calendar ends"
            moments.append(window.find_end(end_us) or end_us)
    return max(moments)
