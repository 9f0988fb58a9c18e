"""The tree of grants: what its records change, and which calls a path allows (docs/rules.md, R18.1)."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from audit.verify.rights.limits import AT_LIMIT, Limit, read_limits
from audit.verify.rights.windows import read_time_us

MAX_DEPTH, MAX_GRANTS_OF_SCOPE, MAX_FLOORS = 8, 64, 64
MAX_POSTURES, MAX_ENDED_POSTURES = 16, 48
MAX_WINDOW_US = 90 * 86_400_000_000
Allow = dict[str, frozenset[str]]
"""The names that are allowed, by dimension; any in a dimension that is absent."""


class Posture(msgspec.Struct):
    """A narrowing until a moment."""

    until_us: int
    allow: Allow
    limits: dict[str, Limit]
    is_paused: bool


class Grant(msgspec.Struct):
    """A grant as its own records have it."""

    name: str
    parent: str | None
    dimension: str
    scope: str
    allow: Allow
    limits: dict[str, Limit]
    starts_us: int
    expires_us: int | None
    is_delegable: bool
    granted_by: str | None = None
    revoked_us: int | None = None
    is_paused: bool = False
    postures: list[Posture] = []

    def list_postures(self, time_us: int) -> list[Posture]:
        return [posture for posture in self.postures if time_us < posture.until_us]

    def list_limits(self, time_us: int) -> list[Limit]:
        """List the limits at a time: of each identity the least of the grant's and its postures'."""
        limits = dict(self.limits)
        for posture in self.list_postures(time_us):
            for key, limit in posture.limits.items():
                if key not in limits or limit.amount < limits[key].amount:
                    limits[key] = limit
        return list(limits.values())

    def list_allows(self, time_us: int) -> list[Allow]:
        return [self.allow, *(posture.allow for posture in self.list_postures(time_us))]


class Stop(NamedTuple):
    """Why a path does not allow a call: the grant, the reason, and where a list is the reason its dimension."""

    grant: Grant
    reason: str
    dimension: str | None = None


class Tree(msgspec.Struct):
    """The grants of an organization by name, the names of those of each scope in the order of creation, and of each
    grant the names of the children that have, or had, a floor."""

    grants: dict[str, Grant] = {}
    scopes: dict[str, dict[str, list[str]]] = {}
    floors: dict[str, list[str]] = {}

    def list_path(self, name: str | None) -> list[Grant]:
        """List a grant and all above it; nothing where there is no such grant."""
        path: list[Grant] = []
        while name is not None and name in self.grants:
            path.append(self.grants[name])
            name = path[-1].parent
        return path

    def list_holdings(self, organization: str, scopes: Mapping[str, str]) -> list[list[str]]:
        """List the grants of each scope that has any, in the order of the dimensions' names."""
        holdings = []
        for dimension, names in sorted(self.scopes.items()):
            scope = organization if dimension == "organization" else scopes.get(dimension)
            if scope is not None and names.get(scope):
                holdings.append(names[scope])
        return holdings

    def add(self, grant: Grant, now_us: int) -> bool:
        """Add a grant, unless its scope has too many that are in force, or will be."""
        names = self.scopes.get(grant.dimension, {}).get(grant.scope, [])
        if sum(not self._is_over(name, now_us) for name in names) >= MAX_GRANTS_OF_SCOPE:
            return False
        names = [name for name in names if not self._is_over(name, now_us - MAX_WINDOW_US)]
        self.scopes.setdefault(grant.dimension, {})[grant.scope] = [*names, grant.name]
        self.put(grant)
        return True

    def put(self, grant: Grant) -> None:
        """Put a grant in place of what it was."""
        self.grants[grant.name] = grant
        if grant.parent is not None and any(limit.floor for limit in grant.limits.values()):
            children = self.floors.setdefault(grant.parent, [])
            if grant.name not in children:
                children.append(grant.name)

    def list_floors(self, parent: str, limit_key: str, now_us: int) -> dict[str, int]:
        """List the floors that a limit of a grant has to keep, by child: of those that are not over."""
        limits = {
            name: self.grants[name].limits.get(limit_key)
            for name in self.floors.get(parent, ())
            if not is_over([self.grants[name]], now_us)
        }
        return {name: limit.floor for name, limit in limits.items() if limit is not None and limit.floor}

    def _is_over(self, name: str, time_us: int) -> bool:
        return is_over(self.list_path(name), time_us)


def find_dead(path: list[Grant], time_us: int) -> Stop | None:
    """Return the first grant of a path that is not in force at a time."""
    for grant in path:
        if grant.revoked_us is not None and grant.revoked_us <= time_us:
            return Stop(grant, "revoked")
        if time_us < grant.starts_us:
            return Stop(grant, "not started")
        if grant.expires_us is not None and grant.expires_us <= time_us:
            return Stop(grant, "expired")
    return None


def is_over(path: list[Grant], time_us: int) -> bool:
    """Tell whether a path is no longer in force, and never will be."""
    dead = find_dead(path, time_us)
    return dead is not None and dead.reason != "not started"


def find_stop(path: list[Grant], time_us: int) -> Stop | None:
    """Return the grant of a path by which no call may be made at a time."""
    if (dead := find_dead(path, time_us)) is not None:
        return dead
    for grant in path:
        if grant.is_paused or any(posture.is_paused for posture in grant.list_postures(time_us)):
            return Stop(grant, "paused")
    return None


def find_obstacle(path: list[Grant], call: Mapping[str, str | None], time_us: int) -> Stop | None:
    """Return the grant of a path that does not allow a call at a time."""
    if (stop := find_stop(path, time_us)) is not None:
        return stop
    for grant in path:
        for allow in grant.list_allows(time_us):
            for dimension in sorted(allow):
                value = call.get(dimension)
                if value is None or value.lower() not in allow[dimension]:
                    return Stop(grant, "outside", dimension)
    return None


def read_allow(names: Mapping[str, Iterable[str] | None] | None) -> Allow:
    """Read the lists of a record. Case does not tell names apart."""
    return {
        dimension: frozenset(name.lower() for name in values)
        for dimension, values in (names or {}).items()
        if values is not None
    }


def create_grant(
    tree: Tree, body: Mapping[str, Any], starts_us: int, now_us: int, granted_by: str | None = None
) -> Grant | None:
    """Read a new grant; None where the record has no effect."""
    grant = Grant(
        body["grant"], body.get("parent"), body["dimension"], body["scope"], read_allow(body.get("allow")),
        read_limits(body.get("limits")), starts_us, _read_time(body, "expires_at"), bool(body.get("delegable")),
        granted_by,
    )  # fmt: skip
    if grant.name in tree.grants or (grant.expires_us is not None and grant.expires_us <= max(now_us, starts_us)):
        return None
    if grant.parent is None:
        return grant
    path = tree.list_path(grant.parent)
    is_possible = 0 < len(path) < MAX_DEPTH and not is_over(path, now_us) and _is_within(grant, path)
    return grant if is_possible and _has_floors(tree, grant, now_us) else None


def narrow_grant(tree: Tree, body: Mapping[str, Any], now_us: int) -> Grant | None:
    """Return a grant as a record narrows it; None where the record has no effect."""
    grant = tree.grants.get(body["grant"])
    if grant is None or grant.revoked_us is not None or _is_widening(grant, body):
        return None
    until_us = _read_time(body, "until")
    if until_us is None:
        return None if _is_below_floors(tree, grant, body, now_us) else _apply(grant, body)
    postures = grant.list_postures(now_us)
    if until_us <= now_us or len(postures) >= MAX_POSTURES:
        return None
    posture = Posture(
        until_us, read_allow(body.get("allow")), read_limits(body.get("limits")), bool(body.get("paused"))
    )
    ended = [posture for posture in grant.postures if posture.until_us <= now_us]
    return msgspec.structs.replace(grant, postures=[*ended[-MAX_ENDED_POSTURES:], *postures, posture])


def extend_grant(tree: Tree, body: Mapping[str, Any], now_us: int) -> Grant | None:
    """Return a grant as a record widens it; None where the record has no effect."""
    grant = tree.grants.get(body["grant"])
    if grant is None or grant.revoked_us is not None:
        return None
    path = tree.list_path(grant.parent)
    wider = _apply(grant, body)
    is_possible = not is_over(path, now_us) and _is_within(wider, path) and _is_wider(grant, wider)
    return wider if is_possible and _has_floors(tree, wider, now_us) else None


def revoke_grant(tree: Tree, body: Mapping[str, Any], now_us: int) -> Grant | None:
    """Return a grant as it is revoked; None where it is already, or there is none."""
    grant = tree.grants.get(body["grant"])
    if grant is None or grant.revoked_us is not None:
        return None
    return msgspec.structs.replace(grant, revoked_us=now_us)


def _apply(grant: Grant, body: Mapping[str, Any]) -> Grant:
    """Return a grant with what a record says in place of what it had; what is absent stays."""
    expires_us, is_delegable, is_paused = _read_time(body, "expires_at"), body.get("delegable"), body.get("paused")
    return msgspec.structs.replace(
        grant,
        allow=grant.allow | read_allow(body.get("allow")),
        limits=grant.limits | read_limits(body.get("limits")),
        expires_us=grant.expires_us if expires_us is None else expires_us,
        is_delegable=grant.is_delegable if is_delegable is None else is_delegable,
        is_paused=grant.is_paused if is_paused is None else is_paused,
    )


def _is_within(grant: Grant, path: list[Grant]) -> bool:
    for above in path:
        if any(not names <= above.allow.get(dimension, names) for dimension, names in grant.allow.items()):
            return False
        if grant.expires_us is not None and above.expires_us is not None and grant.expires_us > above.expires_us:
            return False
        if any(key in above.limits and limit.amount > above.limits[key].amount for key, limit in grant.limits.items()):
            return False
    return True


def _is_widening(grant: Grant, body: Mapping[str, Any]) -> bool:
    """Tell whether a record of a narrowing asks for more than a grant has."""
    allow, expires_us = read_allow(body.get("allow")), _read_time(body, "expires_at")
    if any(not names <= grant.allow.get(dimension, names) for dimension, names in allow.items()):
        return True
    for key, limit in read_limits(body.get("limits")).items():
        former = grant.limits.get(key) or msgspec.structs.replace(limit, floor=0, lend=0)
        if limit.floor > former.floor or limit.guarantee > former.guarantee:
            return True
        if limit.amount > former.amount or AT_LIMIT.index(limit.at_limit) < AT_LIMIT.index(former.at_limit):
            return True
    return expires_us is not None and grant.expires_us is not None and expires_us > grant.expires_us


def _is_wider(grant: Grant, wider: Grant) -> bool:
    """Tell whether an extended grant keeps all that the grant had."""
    if any(
        dimension not in grant.allow or not grant.allow[dimension] <= wider.allow[dimension]
        for dimension in wider.allow
    ):
        return False
    for key, limit in wider.limits.items():
        former = grant.limits.get(key)
        if former is None or limit.amount < former.amount:
            return False
        if limit.floor < former.floor or limit.guarantee < former.guarantee:
            return False
    return wider.expires_us is None or (grant.expires_us is not None and wider.expires_us >= grant.expires_us)


def _has_floors(tree: Tree, grant: Grant, now_us: int) -> bool:
    """Tell whether the parent of a grant can keep its floors."""
    for key, limit in grant.limits.items():
        if not limit.floor:
            continue
        above = tree.grants[grant.parent].limits.get(key) if grant.parent is not None else None
        if above is None or not above.is_enforced:
            return False
        floors = tree.list_floors(str(grant.parent), key, now_us)
        floors.pop(grant.name, None)
        if len(floors) >= MAX_FLOORS or sum(floors.values()) + limit.floor > above.amount:
            return False
    return True


def _is_below_floors(tree: Tree, grant: Grant, body: Mapping[str, Any], now_us: int) -> bool:
    """Tell whether a narrowing would leave less of a limit than the floors below it."""
    limits = read_limits(body.get("limits"))
    return any(sum(tree.list_floors(grant.name, key, now_us).values()) > limit.amount for key, limit in limits.items())


def _read_time(body: Mapping[str, Any], field: str) -> int | None:
    return None if body.get(field) is None else read_time_us(body[field])
