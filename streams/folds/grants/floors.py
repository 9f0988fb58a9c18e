"""Floors: the part of a limit that is kept for a grant below, until that grant has used it.

A limit leaves to a child what it has left without the floors of the other children. What a child lends of its floor is
not kept, and what it uses beyond its floor is borrowed. Spend cannot be called back, as a cluster preempts work to get
quota back that it lent; so a floor lends nothing where it does not say so. A row of each limit lists the children that
have a floor of it. Their number is bounded, since each ask that comes to the limit reads their meters.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from streams.folds.grants.limits import Limit
from streams.folds.grants.meters import NAME, Meter, MeterKey, list_declines, read_meter
from streams.folds.grants.meters import find_refill as find_meter_refill
from streams.folds.grants.tree import Grant, find_dead, list_limits, load_grant
from streams.folds.state import Key, State

FLOORS = "floors"
MAX_FLOORS = 64


class Keep(NamedTuple):
    """The guarantee of a child, which a limit keeps as far as the child has not used, reserved or leased it."""

    key: MeterKey
    limit: Limit
    guarantee: int
    meter: Meter

    @property
    def amount(self) -> int:
        return max(0, self.guarantee - self.meter.used - self.meter.committed)


class Room(NamedTuple):
    """The room that a limit has for a call, with what it keeps for children to which the call is not charged."""

    key: MeterKey
    limit: Limit
    meter: Meter
    keeps: tuple[Keep, ...]

    @property
    def kept(self) -> int:
        """Return what the limit keeps for others now."""
        return sum(keep.amount for keep in self.keeps)

    @property
    def left(self) -> int:
        """Return what a call may take; below zero where more is used than the limit or a floor allows."""
        return self.limit.amount - self.meter.used - self.meter.committed - self.kept

    def is_possible(self, amount: int) -> bool:
        """Tell whether an amount fits an empty window."""
        return amount + sum(keep.guarantee for keep in self.keeps) <= self.limit.amount

    def is_contended(self, amount: int) -> bool:
        """Tell whether an amount would fit if all that is reserved and leased was given back."""
        kept = sum(max(0, keep.guarantee - keep.meter.used) for keep in self.keeps)
        return self.meter.used + amount + kept <= self.limit.amount


def read_room(
    state: State, organization: str, grant: Grant, limit: Limit, charged: Collection[str], now_us: int
) -> Room:
    """Return the room of a limit of a grant for a call that is charged to some grants: nothing is kept from it for
    these."""
    key = MeterKey(organization, grant.name, limit.key)
    meter = read_meter(state, key, limit, now_us)
    if not limit.is_enforced:
        return Room(key, limit, meter, ())
    names = state.get(_floors_key(organization, grant.name, key.limit_key)) or ()
    keeps = [_read_keep(state, organization, name, key.limit_key, now_us) for name in names if name not in charged]
    return Room(key, limit, meter, tuple(keep for keep in keeps if keep is not None))


def find_refill(state: State, room: Room, amount: int, now_us: int) -> int | None:
    """Return when time alone makes room for an amount, floors included; None where it never does. As what a child used
    leaves the window, its floor is kept again."""
    if not room.keeps:
        return find_meter_refill(state, room.key, room.limit, amount, now_us)
    window, fixed_amount = room.limit.window, room.meter.committed + amount
    if window.kind == "total":
        return None
    uses = zip(*(list_declines(state, keep.key, keep.limit, keep.meter) for keep in room.keeps), strict=True)
    declines = zip(list_declines(state, room.key, room.limit, room.meter), uses, strict=True)
    for steps, (used, used_by_child) in enumerate(declines, 1):
        kept = sum(
            max(0, keep.guarantee - keep.meter.committed - child_used)
            for keep, child_used in zip(room.keeps, used_by_child, strict=True)
        )
        if used + fixed_amount + kept <= room.limit.amount:
            return window.find_end(now_us, steps)
    return None


def has_floors(state: State, organization: str) -> bool:
    """Tell whether an organization ever gave a floor."""
    return state.get((NAME, FLOORS, organization)) is not None


def index_floors(state: State, organization: str, grant: Grant, now_us: int) -> None:
    """List a grant with the limits of its parent that keep a floor for it, and with no other."""
    for limit in grant.limits if grant.parent is not None else ():
        key = _floors_key(organization, str(grant.parent), limit.key)
        names = state.get(key) or ()
        if limit.floor and grant.revoked_us is None:
            other_names = [
                name for name in names if name != grant.name and _is_living(state, organization, name, now_us)
            ]
            state.put(key, (*other_names, grant.name))
            state.put((NAME, FLOORS, organization), True)
        elif grant.name in names:
            state.put(key, tuple(name for name in names if name != grant.name))


def find_floor_obstacle(
    state: State, organization: str, grant: Grant, path: Sequence[Grant], now_us: int
) -> str | None:
    """Return why the first grant of the path above a grant cannot keep its floors; None where it can."""
    for limit in grant.limits:
        if not limit.floor:
            continue
        parent = path[0] if path else None
        if parent is None:
            return f"{limit.key}: a floor is kept out of a parent's limit, and {grant.name!r} has no parent"
        above = next((above for above in parent.limits if above.key == limit.key), None)
        if above is None:
            return f"{limit.key}: {parent.name!r} has no such limit to keep a floor of"
        if not above.is_enforced:
            return f"{limit.key}: the limit of {parent.name!r} only warns, so it keeps no floor"
        floors = list_floors(state, organization, parent.name, limit.key, now_us)
        floors.pop(grant.name, None)
        if sum(floors.values()) + limit.floor > above.amount:
            return f"{limit.key}: the floors of the grants below {parent.name!r} would be above its limit"
        if len(floors) >= MAX_FLOORS:
            return f"{limit.key}: {parent.name!r} keeps {MAX_FLOORS} floors already"
    return None


def list_floors(state: State, organization: str, grant: str, limit_key: str, now_us: int) -> dict[str, int]:
    """Return the floors that a limit has to keep, by the name of the child: of all that are not over for good."""
    return {
        name: limit.floor
        for name in state.get(_floors_key(organization, grant, limit_key)) or ()
        if _is_living(state, organization, name, now_us)
        for limit in _load(state, organization, name).limits
        if limit.key == limit_key
    }


def _floors_key(organization: str, grant: str, limit_key: str) -> Key:
    return NAME, FLOORS, organization, grant, limit_key


def _load(state: State, organization: str, name: str) -> Grant:
    grant = load_grant(state, organization, name)
    assert grant is not None, "a grant is never forgotten"
    return grant


def _is_living(state: State, organization: str, name: str, now_us: int) -> bool:
    dead = find_dead([_load(state, organization, name)], now_us)
    return dead is None or dead.reason == "not started"


def _read_keep(state: State, organization: str, name: str, limit_key: str, now_us: int) -> Keep | None:
    """Return what is kept for a child; None where it is not in force. The least of its own limit and its postures is
    guaranteed. A paused grant keeps its floor: when it is resumed, the floor is there."""
    grant = _load(state, organization, name)
    if find_dead([grant], now_us) is not None:
        return None
    limit = next(limit for limit in grant.limits if limit.key == limit_key)
    guarantee = limit.guarantee
    if grant.postures:
        narrowed = [limit for posture in grant.list_postures(now_us) for limit in posture.limits]
        guarantee = min([guarantee, *(limit.guarantee for limit in narrowed if limit.key == limit_key)])
        limit = next(limit for limit in list_limits(grant, now_us) if limit.key == limit_key)
    if not guarantee:
        return None
    key = MeterKey(organization, name, limit_key)
    return Keep(key, limit, guarantee, read_meter(state, key, limit, now_us))
