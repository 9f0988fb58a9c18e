"""Changes of the tree of grants: what a record may say is checked when it comes, and nothing is clamped in silence. A
record that asks for more has no effect, and its reason names one call, or the limit."""

from collections.abc import Sequence

from msgspec.structs import replace

from streams.folds.grants.floors import find_floor_obstacle, index_floors, list_floors, read_room
from streams.folds.grants.limits import STRICTNESS
from streams.folds.grants.meters import NAME, MeterKey, read_meter
from streams.folds.grants.tree import (
    DIMENSIONS,
    GRANT,
    HOLDERS,
    MAX_DEPTH,
    MAX_ENDED_POSTURES,
    MAX_GRANTS_OF_SCOPE,
    MAX_POSTURES,
    MAX_WINDOW_US,
    Change,
    Grant,
    Posture,
    find_dead,
    list_limits,
    load_grant,
    load_path,
    read_set,
    write_lists,
)
from streams.folds.state import State
from tallystick.rights.sets import InferenceSet


def create_grant(
    state: State, organization: str, grant: Grant, now_us: int, *, is_delegated: bool = False
) -> str | None:
    """Add a grant; return why it has no effect, or None. One that is delegated is given by the holder of its parent."""
    path = [] if grant.parent is None else load_path(state, organization, grant.parent)
    obstacle = _find_obstacle(state, organization, grant, path, now_us)
    if obstacle is None and is_delegated:
        obstacle = _find_delegation_obstacle(state, organization, grant, path, now_us)
    if obstacle is not None:
        return obstacle
    dimensions_key = (NAME, DIMENSIONS, organization)
    dimensions = state.get(dimensions_key) or ()
    if grant.dimension not in dimensions:
        state.put(dimensions_key, tuple(sorted((*dimensions, grant.dimension))))
    holders_key = (NAME, HOLDERS, organization, grant.dimension, grant.scope)
    names = state.get(holders_key) or ()
    if len(_list_living(state, organization, names, now_us)) >= MAX_GRANTS_OF_SCOPE:
        return f"{grant.dimension} {grant.scope!r} has {MAX_GRANTS_OF_SCOPE} grants: revoke one first"
    names = _list_living(state, organization, names, now_us - MAX_WINDOW_US)  # a late call may still be of the others
    state.put(holders_key, (*names, grant.name))
    _put_grant(state, organization, grant, now_us)
    return None


def narrow_grant(state: State, organization: str, name: str, change: Change, now_us: int) -> str | None:
    """Narrow a grant, for good or until a time; return why it has no effect, or None."""
    path = load_path(state, organization, name)
    obstacle = _find_change_obstacle(path, name, now_us)
    if obstacle is not None:
        return obstacle
    grant = path[0]
    obstacle = _find_widening(grant, change)
    if obstacle is not None:
        return f"{obstacle}: it would be wider, which grant.extended says"
    if change.until_us is None and (obstacle := _find_broken_floors(state, organization, grant, change, now_us)):
        return obstacle
    if change.until_us is not None:
        postures = grant.list_postures(now_us)
        if change.until_us <= now_us:
            return "the narrowing ends before it begins"
        if len(postures) >= MAX_POSTURES:
            return f"{name!r} has {MAX_POSTURES} narrowings that end: wait until one does"
        posture = Posture(change.until_us, change.allow, change.limits, bool(change.is_paused))
        ended = [posture for posture in grant.postures if posture.until_us <= now_us]  # a late call may be of its time
        grant = replace(grant, postures=(*ended[-MAX_ENDED_POSTURES:], *postures, posture))
    else:
        grant = _apply_change(grant, change)
    _move_clocks(state, organization, path[0], now_us)
    _put_grant(state, organization, grant, now_us)
    return None


def extend_grant(state: State, organization: str, name: str, change: Change, now_us: int) -> str | None:
    """Widen a grant within those above it; return why it has no effect, or None. What was spent stays spent."""
    path = load_path(state, organization, name)
    obstacle = _find_change_obstacle(path, name, now_us, is_extension=True)
    if obstacle is not None:
        return obstacle
    grant = path[0]
    extended = _apply_change(grant, change)
    obstacle = _find_loss(grant, extended)
    if obstacle is not None:
        return f"{obstacle}: it would be narrower, which grant.narrowed says"
    obstacle = _find_excess(extended, path[1:]) or find_floor_obstacle(state, organization, extended, path[1:], now_us)
    if obstacle is not None:
        return obstacle
    _move_clocks(state, organization, grant, now_us)
    _put_grant(state, organization, extended, now_us)
    return None


def revoke_grant(state: State, organization: str, name: str, now_us: int) -> str | None:
    """Revoke a grant, and so all below it; return why it has no effect, or None."""
    grant = load_grant(state, organization, name)
    if grant is None:
        return f"there is no grant {name!r}"
    if grant.revoked_us is not None:
        return f"{name!r} is revoked already"
    _put_grant(state, organization, replace(grant, revoked_us=now_us), now_us)
    return None


def _put_grant(state: State, organization: str, grant: Grant, now_us: int) -> None:
    state.put((NAME, GRANT, organization, grant.name), grant)
    index_floors(state, organization, grant, now_us)


def _move_clocks(state: State, organization: str, grant: Grant, now_us: int) -> None:
    """Judge the limits of a grant up to now as they were, before they change."""
    for limit in list_limits(grant, now_us):
        read_meter(state, MeterKey(organization, grant.name, limit.key), limit, now_us)


def _find_obstacle(state: State, organization: str, grant: Grant, path: Sequence[Grant], now_us: int) -> str | None:
    if load_grant(state, organization, grant.name) is not None:
        return f"there is a grant {grant.name!r} already: a name is given once"
    if grant.expires_us is not None and grant.expires_us <= max(now_us, grant.starts_us):
        return "it would expire before it starts"
    if grant.parent is not None and not path:
        return f"there is no grant {grant.parent!r}"
    if len(path) >= MAX_DEPTH:
        return f"it would be deeper than {MAX_DEPTH} grants"
    return (
        _find_dead_reason(path, now_us)
        or _find_excess(grant, path)
        or find_floor_obstacle(state, organization, grant, path, now_us)
    )


def _find_dead_reason(path: Sequence[Grant], now_us: int) -> str | None:
    dead = find_dead(path, now_us)
    return None if dead is None or dead.reason == "not started" else f"{dead.grant.name!r} is {dead.reason}"


def _find_broken_floors(state: State, organization: str, grant: Grant, change: Change, now_us: int) -> str | None:
    """Return the limit of a change that would be below the floors that it has to keep."""
    for limit in change.limits:
        if sum(list_floors(state, organization, grant.name, limit.key, now_us).values()) > limit.amount:
            return f"{limit.key}: the floors of the grants below {grant.name!r} need more than that"
    return None


def _find_excess(grant: Grant, path: Sequence[Grant]) -> str | None:
    """Return what a grant would have beyond the path above it; None where it lies within."""
    for above in path:
        if (extra := _find_extra(read_set(grant.allow), read_set(above.allow))) is not None:
            return f"{extra} is not in {above.name!r}"
        if above.expires_us is not None and grant.expires_us is not None and grant.expires_us > above.expires_us:
            return f"it would expire after {above.name!r}"
        amounts = {limit.key: limit.amount for limit in above.limits}
        for limit in grant.limits:
            if limit.amount > amounts.get(limit.key, limit.amount):
                return f"{limit.key}: the limit is above that of {above.name!r}"
    return None


def _find_delegation_obstacle(
    state: State, organization: str, grant: Grant, path: Sequence[Grant], now_us: int
) -> str | None:
    if not path:
        return "a grant is delegated from another, which parent names"
    if not path[0].is_delegable:
        return f"{path[0].name!r} is not delegable"
    amounts = {limit.key: limit.amount for limit in grant.limits}
    names = [above.name for above in path]
    for above in path:
        for limit in list_limits(above, now_us):
            if limit.key not in amounts or limit.window.kind != "total" or not limit.is_enforced:
                continue
            if amounts[limit.key] > read_room(state, organization, above, limit, names, now_us).left:
                return f"{limit.key}: {above.name!r} has less than that left"
    return None


def _find_change_obstacle(path: Sequence[Grant], name: str, now_us: int, *, is_extension: bool = False) -> str | None:
    if not path:
        return f"there is no grant {name!r}"
    if path[0].revoked_us is not None:
        return f"{name!r} is revoked"
    return _find_dead_reason(path[1:], now_us) if is_extension else None


def _find_widening(grant: Grant, change: Change) -> str | None:
    """Return what of a change would widen a grant."""
    if (extra := _find_extra(read_set(change.allow), read_set(grant.allow))) is not None:
        return f"{extra} is not in {grant.name!r}"
    limits = {limit.key: limit for limit in grant.limits}
    for limit in change.limits:
        former = limits.get(limit.key) or replace(limit, floor=0)
        if limit.guarantee > former.guarantee or limit.floor > former.floor:
            return f"{limit.key}: the floor is above that of {grant.name!r}"
        if limit.amount > former.amount or STRICTNESS.index(limit.at_limit) < STRICTNESS.index(former.at_limit):
            return f"{limit.key}: the limit is above that of {grant.name!r}, or less strict"
    if change.expires_us is not None and grant.expires_us is not None and change.expires_us > grant.expires_us:
        return "expires_at is later"
    if change.is_delegable and not grant.is_delegable:
        return "it is not delegable"
    return None


def _find_extra(inner: InferenceSet, outer: InferenceSet) -> str | None:
    """Return a value that one set lists and another does not hold. A dimension without a list is no demand."""
    for dimension, values in inner.values:
        if not (extra := values.subtract(outer.read(dimension))).is_empty():
            return f"{dimension}: {extra.pick()}"
    return None


def _find_loss(grant: Grant, extended: Grant) -> str | None:
    """Return what a grant would lose by an extension."""
    for dimension, values in read_set(extended.allow).values:
        if not (missing := read_set(grant.allow).read(dimension).subtract(values)).is_empty():
            return f"{dimension}: {missing.pick()} would go"
    limits = {limit.key: limit for limit in grant.limits}
    for limit in extended.limits:
        if limit.key not in limits:
            return f"{limit.key}: it has no such limit"
        former = limits[limit.key]
        if limit.amount < former.amount:
            return f"{limit.key}: the limit is below what it has"
        if limit.guarantee < former.guarantee or limit.floor < former.floor:
            return f"{limit.key}: the floor is below what it has"
    if extended.expires_us is not None and (grant.expires_us is None or extended.expires_us < grant.expires_us):
        return "expires_at is earlier"
    return None


def _apply_change(grant: Grant, change: Change) -> Grant:
    limits = {limit.key: limit for limit in (*grant.limits, *change.limits)}
    return replace(
        grant,
        allow=write_lists(dict(grant.allow) | dict(change.allow)),
        limits=tuple(limits.values()),
        expires_us=grant.expires_us if change.expires_us is None else change.expires_us,
        is_delegable=grant.is_delegable if change.is_delegable is None else change.is_delegable,
        is_paused=grant.is_paused if change.is_paused is None else change.is_paused,
    )


def _list_living(state: State, organization: str, names: Sequence[str], time_us: int) -> list[str]:
    """Return the grants of a scope without those that are over for good at a time."""
    return [
        name for name in names
        if (dead := find_dead(load_path(state, organization, name), time_us)) is None or dead.reason == "not started"
    ]  # fmt: skip
