"""Leases: slices of the grants of some scopes (docs/rules.md, R19.5)."""

from collections.abc import Mapping
from typing import NamedTuple

from audit.verify.rights.admissions import Refusal, list_ways
from audit.verify.rights.limits import MONEY
from audit.verify.rights.organization_rights import Charge, Lease, OrganizationRights
from audit.verify.rights.rooms import Room, read_room
from audit.verify.rights.tree import Allow, Grant, find_stop

SHARE = 4
"""A slice is at most this part of what is left."""


class LeaseAsk(NamedTuple):
    """A slice that is asked for: so much of each measure, money in 10^-12 of the currency."""

    name: str
    scopes: Mapping[str, str]
    amounts: Mapping[str, int]
    currency: str
    admits_until_us: int
    expires_us: int
    grant: str | None = None


class Slice(NamedTuple):
    """The amounts that a lease is given and what they are charged to, with the grant of each scope, the calls that it
    admits and until when, and the limits that only warn and have nothing left."""

    amounts: dict[str, int]
    charges: list[Charge]
    grants: list[str]
    allow: Allow
    dimensions: list[str]
    admits_until_us: int
    warnings: list[tuple[str, str]]


def give_lease(rights: OrganizationRights, ask: LeaseAsk, now_us: int) -> Slice | Refusal:
    """Lease a slice, or return why there is none."""
    if ask.name in rights.reservations or ask.name in rights.leases:
        return Refusal("", "duplicate")
    paths: list[list[Grant]] = []
    rooms: list[tuple[Grant, Room]] = []
    warnings: list[tuple[str, str]] = []
    for candidates, other_names in list_ways(rights, ask.scopes, ask.grant, lambda path: not find_stop(path, now_us)):
        refusals = [_find_refusal(rights, path, other_names, ask, now_us) for path in candidates]
        if None not in refusals:
            assert refusals[0] is not None, "none is absent"
            return refusals[0]
        paths.append(candidates[refusals.index(None)])
        for grant, room in _list_rooms(rights, paths[-1], other_names, now_us):
            if room.limit.is_enforced:
                rooms.append((grant, room))
            elif _find_slice(room) < 1:
                warnings.append((grant.name, room.limit.key))
    if not paths:
        return Refusal("", "no grant")
    names = list(dict.fromkeys(grant.name for path in paths for grant in path))
    amounts = dict(ask.amounts)
    for grant, room in rooms:
        meter = room.limit.meter
        amounts[meter] = min(amounts[meter], _find_slice(room))
        if amounts[meter] < 1:
            return _refuse(grant, room)
    charges = list(
        dict.fromkeys(Charge(grant.name, room.limit.key, amounts[room.limit.meter]) for grant, room in rooms)
    )
    rights.lease(ask.name, Lease(names, charges, now_us, ask.expires_us))
    ends_us = [grant.expires_us for path in paths for grant in path if grant.expires_us is not None]
    return Slice(
        amounts, charges, [path[0].name for path in paths], _intersect_allows(paths, now_us),
        sorted(rights.tree.scopes), min([ask.admits_until_us, *ends_us]), list(dict.fromkeys(warnings)),
    )  # fmt: skip


def find_return_obstacle(rights: OrganizationRights, name: str, currency: str | None) -> str | None:
    """Return why nothing of a lease can be taken off; None where it can."""
    lease = rights.leases.get(name)
    if lease is None or lease.is_expired:
        return "no lease"
    currencies = {charge.limit_key.split("/")[1] for charge in lease.charges if charge.meter in MONEY}
    return None if currency is None or currencies <= {currency} else "currency"


def return_lease(rights: OrganizationRights, name: str, unused_amounts: Mapping[str, int]) -> list[Charge]:
    """Take off what a holder does not use, and return it."""
    lease = rights.leases[name]
    return rights.take_from_lease(lease, [unused_amounts.get(charge.meter, 0) for charge in lease.charges])


def _find_refusal(
    rights: OrganizationRights, path: list[Grant], other_names: list[str], ask: LeaseAsk, now_us: int
) -> Refusal | None:
    """Return why nothing can be leased of a grant and those above it."""
    if (stop := find_stop(path, now_us)) is not None:
        return Refusal(stop.grant.name, stop.reason, stop.grant.granted_by)
    for grant, room in _list_rooms(rights, path, other_names, now_us):
        limit = room.limit
        if not limit.is_enforced:
            continue
        if limit.meter not in ask.amounts:
            return Refusal(grant.name, "unmeasured", grant.granted_by, limit=limit)
        if limit.meter in MONEY and limit.currency != ask.currency:
            return Refusal(grant.name, "currency", grant.granted_by, limit=limit)
        if _find_slice(room) < 1:
            return _refuse(grant, room)
    return None


def _refuse(grant: Grant, room: Room) -> Refusal:
    limit = room.limit
    if limit.unknown_usage == "deny" and room.meter.count_unknown(limit):
        return Refusal(grant.name, "unknown usage", grant.granted_by, limit=limit)
    left_amount = max(0, room.left_amount)
    return Refusal(grant.name, "limit", grant.granted_by, limit=limit, left_amount=left_amount, is_retryable=True)


def _list_rooms(
    rights: OrganizationRights, path: list[Grant], other_names: list[str], now_us: int
) -> list[tuple[Grant, Room]]:
    """List the rooms of the limits of a path."""
    names = [grant.name for grant in path]
    return [
        (grant, read_room(rights, grant, limit, [*names, *other_names], now_us))
        for grant, limit in rights.list_limits(names, now_us)
    ]


def _find_slice(room: Room) -> int:
    if room.limit.unknown_usage == "deny" and room.meter.count_unknown(room.limit):
        return 0
    return -(-room.left_amount // SHARE)


def _intersect_allows(paths: list[list[Grant]], now_us: int) -> Allow:
    allowed: Allow = {}
    for allow in [allow for path in paths for grant in path for allow in grant.list_allows(now_us)]:
        for dimension, names in allow.items():
            allowed[dimension] = names & allowed.get(dimension, names)
    return allowed
