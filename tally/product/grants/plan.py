"""Plan the records that make the grants of an organization what a file declares. Pure.

Narrowing comes first, children before parents; then what is taken out of the file is revoked; then grants are created
and extended, parents before children. So each record meets a tree in which it is possible, and a change that narrows
and widens is two records: what both have in common first, then what the file says.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from ledger.money import brief, text
from streams.folds.grants.limits import MONEY, STRICTNESS, Limit
from streams.folds.grants.records import read_change
from streams.folds.grants.tree import Grant
from tally.product.grants.declaration import DeclaredGrant
from tally.product.grants.history import AppliedRecord
from tally.product.grants.text import describe_moment
from tally.product.grants.usage import Grants, GrantUsage
from tallystick.vocabulary.controls.grants import GrantCreated, GrantExtended, GrantNarrowed, GrantRevoked

APPLY_SOURCE = "tally-apply"
"""The source of the records of ``tally apply``: a grant that has one is the file's."""
Action = Literal["create", "narrow", "extend", "revoke"]
_TYPES: dict[Action, str] = {
    "create": GrantCreated.control_type, "narrow": GrantNarrowed.control_type, "extend": GrantExtended.control_type,
    "revoke": GrantRevoked.control_type,
}  # fmt: skip
_OVER = ("revoked", "expired")
Body = dict[str, Any]


class PlannedRecord(NamedTuple):
    """A record to append. ``before`` is the grant as it is; ``below`` are grants that are over with a revoked one."""

    action: Action
    body: Body
    reason: str | None = None
    before: Grant | None = None
    below: tuple[str, ...] = ()

    @property
    def grant(self) -> str:
        return str(self.body["grant"])

    @property
    def control_type(self) -> str:
        return _TYPES[self.action]


class GrantPlan(NamedTuple):
    """The records of a plan in their order, and living grants that the file neither names nor owns."""

    records: list[PlannedRecord]
    foreign: list[str]


class _Steps(NamedTuple):
    """The records that change a grant: narrow to what both have, widen, and narrow off what only had to stay on the way
    to a list that shares no name."""

    narrow: Body
    extend: Body
    trim: Body


def plan_grants(grants: Grants, declared: Sequence[DeclaredGrant]) -> GrantPlan:
    """Plan the records that make the grants what the file declares. TallyError names the place of what no record can
    reach, and the way out."""
    ordered = sort_declared(declared, {usage.grant.name for usage in grants.usages})
    names = {grant.name for grant in ordered}
    absent = [usage for usage in grants.usages if usage.grant.name not in names and not _is_over(usage)]
    revoked = list(_plan_revocations(grants, absent, names))
    over = {name for record in revoked for name in (record.grant, *record.below)}
    narrowed, widened, trimmed = list[PlannedRecord](), list[PlannedRecord](), list[PlannedRecord]()
    for declaration in ordered:
        usage = grants.find(declaration.name)
        _check_path(declaration, usage, grants, over)
        if usage is None:
            widened.append(PlannedRecord("create", declaration.body, declaration.reason))
            continue
        steps = _compare(declaration, usage.grant)
        for action, body, records in (
            ("narrow", steps.narrow, narrowed), ("extend", steps.extend, widened), ("narrow", steps.trim, trimmed),
        ):  # fmt: skip
            if body:
                change = {"grant": declaration.name} | body
                records.append(PlannedRecord(action, change, declaration.reason, usage.grant))  # type: ignore[arg-type]
    foreign = [usage.grant.name for usage in absent if usage.grant.name not in over]
    return GrantPlan([*reversed(narrowed), *revoked, *widened, *reversed(trimmed)], foreign)


def is_owned(history: Iterable[AppliedRecord]) -> bool:
    """Tell whether the file owns a grant: ``tally apply`` created or changed it."""
    return any(record.source == APPLY_SOURCE for record in history)


def _is_over(usage: GrantUsage) -> bool:
    return usage.stop is not None and usage.stop.reason in _OVER


def sort_declared(declared: Sequence[DeclaredGrant], existing: set[str]) -> list[DeclaredGrant]:
    """Put each grant of the file behind its parent. TallyError where a parent is not there, or a grant is below
    itself."""
    by_name = {grant.name: grant for grant in declared}
    ordered: dict[str, DeclaredGrant] = {}

    def add(grant: DeclaredGrant, path: tuple[str, ...]) -> None:
        if grant.name in path:
            raise grant.get_place("parent").make_error(
                f"would be below itself ({' -> '.join((*path, grant.name))}): take out one of these parents"
            )
        parent = grant.parent
        if parent in by_name:
            add(by_name[parent], (*path, grant.name))
        elif parent is not None and parent not in existing:
            raise grant.get_place("parent").make_error(
                f"there is no grant {parent!r}, in the file or on the log: declare it, or name another parent"
            )
        ordered[grant.name] = grant

    for grant in declared:
        add(grant, ())
    return list(ordered.values())


def _plan_revocations(grants: Grants, absent: Sequence[GrantUsage], declared: set[str]) -> Iterator[PlannedRecord]:
    """Yield a record for each grant that the file owns and does not name, the uppermost of each branch."""
    owned = {usage.grant.name for usage in absent if is_owned(grants.history.get(usage.grant.name, ()))}
    for usage in absent:
        name = usage.grant.name
        if name in owned and not owned.intersection(usage.above):
            below = [descendant.grant.name for descendant in grants.list_below(name) if not _is_over(descendant)]
            # One that the file names is an error, which tells more.
            yield PlannedRecord(
                "revoke", {"grant": name}, None, usage.grant, tuple(name for name in below if name not in declared)
            )


def _check_path(declaration: DeclaredGrant, usage: GrantUsage | None, grants: Grants, over: set[str]) -> None:
    """TallyError where a grant of the file cannot be in force: it was revoked, or its path is over."""
    if usage is not None and usage.stop is not None and usage.stop.reason == "revoked":
        stopped = usage.stop.grant
        is_own = stopped.name == usage.grant.name
        subject = "was" if is_own else f"is revoked with {stopped.name!r}, which was"
        raise declaration.place.make_error(
            f"{subject} revoked at {describe_moment(stopped.revoked_us or 0)} for ever, and a name is given once: "
            f"declare it under another name, for example {declaration.name}-2, or take it out of the file"
        )
    parent = declaration.parent
    above = None if parent is None else grants.find(parent)
    path = [] if above is None else [above.grant.name, *above.above]
    dead = next((name for name in path if name in over), None)
    if dead is None and above is not None and above.stop is not None and above.stop.reason == "revoked":
        dead = above.stop.grant.name
    if dead is not None:
        raise declaration.get_place("parent").make_error(
            f"{dead!r} is not in the file, and so it is revoked with all below: declare it too, or name another parent"
            if dead in over
            else f"{dead!r} is revoked, with all below it: name another parent"
        )


def _compare(declaration: DeclaredGrant, present: Grant) -> _Steps:
    target = declaration.read()
    _check_unchangeable(declaration, present, target)
    narrow, extend, trim = Body(), Body(), Body()
    lists = _compare_lists(dict(present.allow), dict(target.allow))
    limits = _compare_limits(present, target, declaration.body.get("limits") or ())
    for body, allow, changed_limits in zip((narrow, extend, trim), lists, (*limits, []), strict=True):
        if allow:
            body["allow"] = {dimension: list(names) for dimension, names in allow.items()}
        if changed_limits:
            body["limits"] = changed_limits
    if target.expires_us != present.expires_us:
        is_earlier = present.expires_us is None or (target.expires_us or 0) < present.expires_us
        (narrow if is_earlier else extend)["expires_at"] = declaration.body["expires_at"]
    if target.is_delegable != present.is_delegable:
        (extend if target.is_delegable else narrow)["delegable"] = target.is_delegable
    return _Steps(narrow, extend, trim)


def _check_unchangeable(declaration: DeclaredGrant, present: Grant, target: Grant) -> None:
    """TallyError where the file changes what a grant keeps for its whole life."""
    name, way_out = present.name, f"declare another grant, for example {present.name}-2, in place of this one"
    if (target.dimension, target.scope) != (present.dimension, present.scope):
        raise declaration.get_place("scope").make_error(
            f"{name!r} is of {present.dimension}={present.scope} for its whole life: {way_out}"
        )
    if target.parent != present.parent:
        place = "at the top" if present.parent is None else f"below {present.parent!r}"
        raise declaration.get_place("parent").make_error(f"{name!r} is {place} for its whole life: {way_out}")
    for dimension, names in present.allow:
        if dimension not in dict(target.allow):
            raise declaration.place.make_error(
                f"{name!r} lists {dimension.replace('_', ' ')} ({', '.join(names)}), and a list is not taken off: "
                f"write one that has all that are needed, or {way_out}"
            )
    keys = {limit.key for limit in target.limits}
    for limit in present.limits:
        if limit.key not in keys:
            raise declaration.get_place("limits").make_error(
                f"{name!r} has the limit {limit.key}, and a limit is not taken off: write it with a greater amount, or "
                f"with at_limit: warn, or {way_out}"
            )
    if present.expires_us is not None and target.expires_us is None:
        raise declaration.place.make_error(
            f"{name!r} expires at {describe_moment(present.expires_us)}, and an end is not taken off: write a later "
            f"date as expires, or {way_out}"
        )


def _compare_lists(
    present: Mapping[str, Sequence[str]], target: Mapping[str, Sequence[str]]
) -> tuple[dict[str, list[str]], dict[str, list[str]], dict[str, list[str]]]:
    """Return the lists to narrow to, to widen to, and to narrow to at last."""
    narrow, extend, trim = dict[str, list[str]](), dict[str, list[str]](), dict[str, list[str]]()
    for dimension, names in target.items():
        former, target_names = present.get(dimension), set(names)
        common = target_names if former is None else target_names.intersection(former)
        if not common:  # no list is empty, so the old names go when the new ones are there
            extend[dimension], trim[dimension] = sorted(target_names.union(former or ())), sorted(target_names)
            continue
        if former is None or common != set(former):
            narrow[dimension] = sorted(common)
        if common != target_names:
            extend[dimension] = sorted(target_names)
    return narrow, extend, trim


def _compare_limits(present: Grant, target: Grant, bodies: Sequence[Body]) -> tuple[list[Body], list[Body]]:
    """Return the limits to narrow to, and to widen to. Offsets of a zone that are only newer are no change."""
    former = {limit.key: limit for limit in present.limits}
    narrow, extend = list[Body](), list[Body]()
    for limit, body in zip(target.limits, bodies, strict=True):
        # A new limit is narrower, and its floor is wider.
        before = replace(former.get(limit.key) or replace(limit, floor=0, lend=0), window=limit.window)
        common = _write_common(before, limit, body)
        (common_limit,) = read_change({"limits": [common]}).limits
        if common_limit != before or limit.key not in former:
            narrow.append(common)
        if common_limit != limit:
            extend.append(body)
    return narrow, extend


def _write_common(before: Limit, limit: Limit, body: Body) -> Body:
    """Write a limit with the lower amount and floor and the stricter answer of two; all else is as the file has it."""
    floor, guarantee = min(before.floor, limit.floor), min(before.guarantee, limit.guarantee)
    lend = floor - guarantee
    common = dict(body) | {
        "floor": _write_amount(limit, floor) if floor else None, "lend": _write_amount(limit, lend) if lend else None,
    }  # fmt: skip
    if before.amount < limit.amount:
        common["amount"] = _write_amount(before, before.amount)
    if STRICTNESS.index(before.at_limit) > STRICTNESS.index(limit.at_limit):
        common["at_limit"] = before.at_limit
        common["downgrade_to"] = before.downgrade_to
    return {field: value for field, value in common.items() if value is not None}


def _write_amount(limit: Limit, amount: int) -> str:
    return brief(text(amount)) if limit.meter in MONEY else str(amount)
