"""Leases: a slice of the grants of some scopes, from which its holder admits calls in memory.

A slice is at most a quarter of what is left on the way, so slices shrink as a limit comes near. What is leased counts
as if it was spent until the calls that it admitted settle, the holder returns what it did not use, or the lease
expires. So what a lost holder costs is what it held, until then.

An admission from a lease has a name that says what its holder took for it (``tallystick.rights.leased_names``), and the
call that names it first takes as much off the lease: what it did not use is free again, as with a reservation.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from streams.folds.grants.admission import LATE_SETTLEMENT_US, LEASE, RESERVATION, Charge, Refusal, list_candidates
from streams.folds.grants.floors import Room, read_room
from streams.folds.grants.limits import MONEY
from streams.folds.grants.meters import NAME, MeterKey, commit
from streams.folds.grants.tree import (
    DIMENSIONS,
    Grant,
    find_set,
    find_stopped,
    list_holdings,
    list_limits,
    load_path,
)
from streams.folds.state import Key, State
from tallystick.rights.leased_names import LeasedName
from tallystick.rights.sets import InferenceSet

LEASED = "leased"
SHARE = 4
"""A lease gets at most this part of what is left."""


class Lease(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The amounts that a holder may still spend. It admits until ``admits_until_us``; what it admitted settles until it
    expires. An expired one holds nothing, and only says what a late call is charged to."""

    holder: str
    grants: tuple[str, ...]  # all on the way
    charges: tuple[Charge, ...]
    leased_us: int
    admits_until_us: int
    expires_us: int
    is_expired: bool = False


class LeaseAsk(NamedTuple):
    """A slice that a holder asks for, for calls of exactly these scopes: so much of each measure, money in pico of the
    currency."""

    organization: str
    lease: str
    holder: str
    scopes: Mapping[str, str]
    amounts: Mapping[str, int]
    currency: str
    admits_until_us: int
    expires_us: int
    grant: str | None = None


class LeaseAnswer(NamedTuple):
    """The slice, by measure, with the grant of each scope; or why there is none. ``dimensions`` are those of scopes in
    which anything is granted: a call that differs from the lease in these is not of it. ``warnings`` are limits that
    only warn and have nothing left."""

    amounts: Mapping[str, int] = {}
    grants: tuple[str, ...] = ()
    charges: tuple[Charge, ...] = ()
    allow: InferenceSet = InferenceSet()  # the calls that it may admit
    admits_until_us: int = 0
    dimensions: tuple[str, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()
    refusal: Refusal | None = None


def grant_lease(state: State, ask: LeaseAsk, now_us: int) -> LeaseAnswer:
    """Lease a slice, or return why there is none."""
    organization = ask.organization
    if state.get(_lease_key(ask)) is not None or state.get((NAME, RESERVATION, organization, ask.lease)) is not None:
        return LeaseAnswer(refusal=Refusal("", "duplicate"))
    holdings = [list_candidates(names, ask.grant) for _, names in list_holdings(state, organization, ask.scopes)]
    first_paths = [_list_first_path(state, ask, names, now_us) for names in holdings]
    paths, rooms = [], []
    for number, names in enumerate(holdings):
        other_grants = [name for path in (*first_paths[:number], *first_paths[number + 1 :]) for name in path]
        path = _choose_path(state, ask, names, other_grants, now_us)
        if isinstance(path, Refusal):
            return LeaseAnswer(refusal=path)
        paths.append(path)
        rooms += _list_rooms(state, organization, path, other_grants, now_us)
    if not paths:
        return LeaseAnswer(refusal=Refusal("", "no grant"))
    enforced = [(grant, room) for grant, room in rooms if room.limit.is_enforced]
    amounts = dict(ask.amounts)
    for grant, room in enforced:
        meter = room.limit.meter
        amounts[meter] = min(amounts[meter], _find_slice(room))
        if amounts[meter] < 1:
            return LeaseAnswer(refusal=_refuse(grant, room))
    keys = dict.fromkeys((grant.name, room.limit.key, room.limit.meter) for grant, room in enforced)
    charges = tuple(Charge(name, limit_key, amounts[meter]) for name, limit_key, meter in keys)
    for charge in charges:
        commit(state, MeterKey(organization, charge.grant, charge.limit_key), leased=charge.amount)
    grants = tuple(dict.fromkeys(grant.name for path in paths for grant in path))
    ends_us = [grant.expires_us for path in paths for grant in path if grant.expires_us is not None]
    admits_until_us = min([ask.admits_until_us, *ends_us])
    lease = Lease(ask.holder, grants, charges, now_us, admits_until_us, ask.expires_us)
    state.put(_lease_key(ask), lease, ask.expires_us)
    warnings = tuple(
        dict.fromkeys(
            (grant.name, room.limit.key)
            for grant, room in rooms
            if not room.limit.is_enforced and _find_slice(room) < 1
        )
    )
    dimensions = tuple(state.get((NAME, DIMENSIONS, organization)) or ())
    names = tuple(path[0].name for path in paths)
    return LeaseAnswer(amounts, names, charges, find_set(paths, now_us), admits_until_us, dimensions, warnings)


def return_lease(
    state: State,
    organization: str,
    name: str,
    unused: Mapping[str, int],
    now_us: int,
    currency: str | None = None,
) -> tuple[Charge, ...] | str:
    """Take back what a holder says that it will not use; the rest settles or expires. Return why nothing is taken
    back: there is no lease, or its money is of another currency."""
    key: Key = (NAME, LEASE, organization, name)
    lease = load_lease(state, key)
    if lease is None or lease.is_expired:
        return "no lease"
    if currency is not None and any(_read_currency(charge) not in ("", currency) for charge in lease.charges):
        return "currency"
    charges = tuple(
        charge._replace(amount=min(charge.amount, unused.get(charge.limit_key.partition("/")[0], 0)))
        for charge in lease.charges
    )
    take_from_lease(state, key, replace(lease, admits_until_us=min(lease.admits_until_us, now_us)), charges)
    return charges


def expire_lease(state: State, key: Key) -> Lease | None:
    """Take back all that a lease still holds, and return it as it was; forget one that expired a day ago."""
    lease = load_lease(state, key)
    assert lease is not None, "it fell due"
    if lease.is_expired:
        state.delete(key)
        return None
    take_from_lease(state, key, lease, lease.charges)
    emptied = tuple(charge._replace(amount=0) for charge in lease.charges)
    state.put(key, replace(lease, charges=emptied, is_expired=True), lease.expires_us + LATE_SETTLEMENT_US)
    return lease


def take_from_lease(state: State, key: Key, lease: Lease, charges: Sequence[Charge]) -> None:
    """Take amounts off what a lease holds, in the order of its charges."""
    remaining = []
    for charge, taken in zip(lease.charges, charges, strict=True):
        commit(state, MeterKey(str(key[2]), charge.grant, charge.limit_key), leased=-taken.amount)
        remaining.append(charge._replace(amount=charge.amount - taken.amount))
    due_us = lease.expires_us + (LATE_SETTLEMENT_US if lease.is_expired else 0)
    state.put(key, replace(lease, charges=tuple(remaining)), due_us)


def claim_lease(state: State, organization: str, name: LeasedName) -> Lease | None:
    """Return the lease of an admission from it, once; None where there is no lease, or a call named it before."""
    lease = load_lease(state, (NAME, LEASE, organization, name.lease))
    key: Key = (NAME, LEASED, organization, name.lease, name.number)
    if lease is None or state.get(key) is not None:
        return None
    state.put(key, True, lease.expires_us + LATE_SETTLEMENT_US)
    return lease


def load_lease(state: State, key: Key) -> Lease | None:
    row = state.get(key)
    return row if row is None or type(row) is Lease else msgspec.convert(row, Lease)


def _read_currency(charge: Charge) -> str:
    return charge.limit_key.split("/")[1]


def _lease_key(ask: LeaseAsk) -> Key:
    return NAME, LEASE, ask.organization, ask.lease


def _list_first_path(state: State, ask: LeaseAsk, names: Sequence[str], now_us: int) -> list[str]:
    """Return the path of the first grant of a scope that is in force, whether it has room or not."""
    for name in names:
        path = load_path(state, ask.organization, name)
        if find_stopped(path, now_us) is None:
            return [grant.name for grant in path]
    return []


def _choose_path(
    state: State, ask: LeaseAsk, names: Sequence[str], other_grants: Sequence[str], now_us: int
) -> list[Grant] | Refusal:
    """Choose the first grant of a scope from which anything can be leased. The lease is charged to others too."""
    refusals = []
    for name in names:
        path = load_path(state, ask.organization, name)
        refusal = _find_lease_refusal(state, ask, path, other_grants, now_us)
        if refusal is None:
            return path
        refusals.append(refusal)
    return refusals[0]


def _find_lease_refusal(
    state: State, ask: LeaseAsk, path: Sequence[Grant], other_grants: Sequence[str], now_us: int
) -> Refusal | None:
    stopped = find_stopped(path, now_us)
    if stopped is not None:
        return Refusal(stopped.grant.name, stopped.reason, granted_by=stopped.grant.granted_by)
    for grant, room in _list_rooms(state, ask.organization, path, other_grants, now_us):
        limit = room.limit
        if not limit.is_enforced:
            continue
        if limit.meter not in ask.amounts:
            return Refusal(grant.name, "unmeasured", limit_key=limit.key, granted_by=grant.granted_by)
        if limit.meter in MONEY and limit.currency != ask.currency:
            return Refusal(grant.name, "currency", limit_key=limit.key, granted_by=grant.granted_by)
        if _find_slice(room) < 1:
            return _refuse(grant, room)
    return None


def _refuse(grant: Grant, room: Room) -> Refusal:
    if _has_denied_calls(room):
        return Refusal(grant.name, "unknown usage", limit_key=room.limit.key, granted_by=grant.granted_by)
    return Refusal(
        grant.name, "limit", limit_key=room.limit.key, left=max(0, room.left), is_retryable=True,
        granted_by=grant.granted_by,
    )  # fmt: skip


def _list_rooms(
    state: State, organization: str, path: Sequence[Grant], other_grants: Sequence[str], now_us: int
) -> list[tuple[Grant, Room]]:
    """Return the room of each limit on the way. Those that only warn hold no slice back, but count what is spent."""
    charged = {*(grant.name for grant in path), *other_grants}
    return [
        (grant, read_room(state, organization, grant, limit, charged, now_us))
        for grant in path
        for limit in list_limits(grant, now_us)
    ]


def _find_slice(room: Room) -> int:
    return 0 if _has_denied_calls(room) else -(-room.left // SHARE)


def _has_denied_calls(room: Room) -> bool:
    """Tell whether the window holds calls of unknown cost, where the limit denies them."""
    return room.limit.unknown_usage == "deny" and room.meter.unknown_calls > 0
