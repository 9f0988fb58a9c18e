"""The tree of grants: who holds which right, and what every grant above it leaves of it.

A right is judged along its whole path at the moment of the question, so no grant allows what one above it denies,
whatever was narrowed or revoked since.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from streams.folds.grants.limits import Limit
from streams.folds.grants.meters import NAME, MeterKey
from streams.folds.state import State
from tallystick.rights.sets import Call, InferenceSet

GRANT, HOLDERS, DIMENSIONS = "grant", "holders", "dimensions"
MAX_DEPTH = 8
MAX_GRANTS_OF_SCOPE = 64
MAX_POSTURES, MAX_ENDED_POSTURES = 16, 48
MAX_WINDOW_US = 90 * 86_400_000_000
Lists = tuple[tuple[str, tuple[str, ...]], ...]
"""Names by dimension of a set of inferences, both in order."""


class Posture(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A narrowing that ends."""

    until_us: int
    allow: Lists = ()
    limits: tuple[Limit, ...] = ()
    is_paused: bool = False


class Grant(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A grant as its own records have it. ``revoked_us`` and ``expires_us`` are the first moment without it."""

    name: str
    parent: str | None
    dimension: str
    scope: str
    allow: Lists = ()
    limits: tuple[Limit, ...] = ()
    starts_us: int = 0
    expires_us: int | None = None
    is_delegable: bool = False
    granted_by: str | None = None
    revoked_us: int | None = None
    is_paused: bool = False
    postures: tuple[Posture, ...] = ()

    def list_postures(self, time_us: int) -> tuple[Posture, ...]:
        return tuple(posture for posture in self.postures if time_us < posture.until_us)


class Change(NamedTuple):
    """The change in a record of a narrowing or an extension; what is absent stays."""

    allow: Lists = ()
    limits: tuple[Limit, ...] = ()
    expires_us: int | None = None
    is_delegable: bool | None = None
    is_paused: bool | None = None
    until_us: int | None = None


class Outside(NamedTuple):
    """Why a path does not allow a call: the grant, the reason, and of the reason ``outside`` the dimension."""

    grant: Grant
    reason: str
    dimension: str = ""


@lru_cache(maxsize=10_000)
def read_set(allow: Lists) -> InferenceSet:
    return InferenceSet.build(dict(allow))


def write_lists(names: Mapping[str, Iterable[str]]) -> Lists:
    """Write names by dimension in their one order, so that equal sets have equal bytes."""
    return tuple(
        sorted((dimension, tuple(sorted({name.lower() for name in values}))) for dimension, values in names.items())
    )


def load_grant(state: State, organization: str, name: str) -> Grant | None:
    row = state.get((NAME, GRANT, organization, name))
    return row if row is None or type(row) is Grant else msgspec.convert(row, Grant)


def load_path(state: State, organization: str, name: str) -> list[Grant]:
    """Return a grant and all above it; nothing where there is no such grant."""
    path: list[Grant] = []
    parent: str | None = name
    while parent is not None and (grant := load_grant(state, organization, parent)) is not None:
        path.append(grant)
        parent = grant.parent
    return path


def list_holdings(state: State, organization: str, scopes: Mapping[str, str]) -> list[tuple[str, Sequence[str]]]:
    """Return each dimension of the scopes in which any grant was given, with the names of the grants in order."""
    holdings = []
    for dimension in state.get((NAME, DIMENSIONS, organization)) or ():
        scope = organization if dimension == "organization" else scopes.get(dimension)
        if scope is not None and (names := state.get((NAME, HOLDERS, organization, dimension, scope))):
            holdings.append((dimension, names))
    return holdings


def find_dead(path: Sequence[Grant], time_us: int) -> Outside | None:
    """Return the grant of a path that is not in force at a time, and why; None where all are."""
    for grant in path:
        if grant.revoked_us is not None and time_us >= grant.revoked_us:
            return Outside(grant, "revoked")
        if time_us < grant.starts_us:
            return Outside(grant, "not started")
        if grant.expires_us is not None and time_us >= grant.expires_us:
            return Outside(grant, "expired")
    return None


def find_stopped(path: Sequence[Grant], time_us: int) -> Outside | None:
    """Return the grant of a path by which no call may be made at a time, and why; None where there is none."""
    if (dead := find_dead(path, time_us)) is not None:
        return dead
    for grant in path:
        if grant.is_paused or any(posture.is_paused for posture in grant.list_postures(time_us)):
            return Outside(grant, "paused")
    return None


def find_outside(path: Sequence[Grant], call: Call, time_us: int) -> Outside | None:
    """Return the grant of a path that does not allow a call at a time, and why; None where the path allows it."""
    if (stopped := find_stopped(path, time_us)) is not None:
        return stopped
    for grant in path:
        for allow in list_sets(grant, time_us):
            if (dimension := allow.find_outside(call)) is not None:
                return Outside(grant, "outside", dimension)
    return None


def list_sets(grant: Grant, time_us: int) -> list[InferenceSet]:
    """Return the sets of a grant and its postures at a time: it allows what lies in all of them."""
    return [read_set(allow) for allow in (grant.allow, *(posture.allow for posture in grant.list_postures(time_us)))]


def list_limits(grant: Grant, time_us: int) -> list[Limit]:
    """Return the limits of a grant at a time: of each identity the least amount that it or a posture sets."""
    limits = {limit.key: limit for limit in grant.limits}
    for posture in grant.list_postures(time_us):
        for limit in posture.limits:
            former = limits.get(limit.key)
            if former is None or limit.amount < former.amount:
                limits[limit.key] = limit
    return list(limits.values())


def find_limit(state: State, key: MeterKey, time_us: int) -> Limit | None:
    """Return the limit of a meter at a time; None where it is gone: it was of a narrowing that ended."""
    grant = load_grant(state, key.organization, key.grant)
    limits = () if grant is None else list_limits(grant, time_us)
    return next((limit for limit in limits if limit.key == key.limit_key), None)


def find_set(paths: Iterable[Sequence[Grant]], time_us: int) -> InferenceSet:
    """Return the calls that all of some paths allow at a time."""
    allowed = InferenceSet()
    for path in paths:
        for grant in path:
            for allow in list_sets(grant, time_us):
                allowed = allowed.intersect(allow)
    return allowed
