"""Queries of the page Budgets: grants and budgets with what their limits hold now, refusals, crossings."""

import time
from typing import Any, NamedTuple

from dashboards.components.links import BudgetIdentity
from dashboards.slices import Slice, build_limit, build_search
from dashboards.sources.warehouse import Row, ask

NEAR_LIMIT_PERCENT = 80
"""A limit of which this percent is used, reserved and leased is near."""
PERIODS = {"24 h": 24, "7 days": 168, "30 days": 720}
"""Periods in which refusals are counted, in hours."""
VIEWS = {
    "all": "true",
    "at limit": "is_at_limit",
    "near limit": "is_near_limit",
    "crossed": "has_crossed",
    "refused": "refusals > 0",
    "stopped": "state != 'active'",
    "idle": "is_idle",
}
"""The views of the list, with their conditions."""
LIMIT_FIELDS = (
    "limit_key", "meter", "currency", "window_name", "window_s", "at_limit", "downgrade_to", "is_narrowed",
    "limit_amount", "used_amount", "reserved_amount", "leased_amount", "left_amount", "is_used_up", "unknown_calls",
    "crossed_percents", "burn_per_hour", "used_up_at", "refills_at", "window_ends_at", "reported_at", "clock_at",
    "used_by_bucket",
)  # fmt: skip
_COMMITTED = "(part.used_amount + part.reserved_amount + part.leased_amount)"
_LIMITS = f"""
    select
        part.holder_key as holder_key,
        any(part.organization) as limit_organization,
        any(part.dimension) as limit_dimension,
        any(part.scope_value) as limit_scope,
        arraySort(limit -> -limit.1, groupArray(tuple(
            toFloat64({_COMMITTED}) / toFloat64(part.limit_amount), {", ".join(f"part.{name}" for name in LIMIT_FIELDS)}
        ))) as limits,
        max(part.is_used_up) as is_at_limit,
        max(not part.is_used_up and {_COMMITTED} * 100 >= part.limit_amount * {{near:UInt8}}) and not is_at_limit
            as is_near_limit,
        max({_COMMITTED}) = 0 as is_idle,
        max(notEmpty(part.crossed_percents)) as has_crossed,
        countIf(part.used_up_at is not null) > 0 as is_running_out,
        sum(part.unknown_calls) as unknown_calls,
        max(part.unknown_calls > 0 and part.unknown_usage = 'deny') as is_denied,
        max(part.warning) as warning,
        max(toFloat64({_COMMITTED}) / toFloat64(part.limit_amount)) as share,
        max(part.clock_at) as clock_at
    from analytics.fct_grant_limits as part
    group by holder_key
"""
_HOLDERS = f"""
    select
        if(grants.grant_key != '', grants.grant_key, limited.holder_key) as holder_key,
        if(grants.grant_key != '', 'grant', 'budget') as kind,
        if(kind = 'grant', grants.organization, limited.limit_organization) as organization,
        grants.grant_name as grant_name,
        grants.path as path,
        grants.depth as depth,
        if(kind = 'grant', grants.dimension, limited.limit_dimension) as dimension,
        if(kind = 'grant', grants.scope_value, limited.limit_scope) as scope_value,
        if(kind = 'grant', grants.state, 'active') as state,
        grants.stopped_by as stopped_by,
        limited.limits as limits,
        limited.is_at_limit as is_at_limit,
        limited.is_near_limit as is_near_limit,
        limited.has_crossed as has_crossed,
        limited.is_idle and notEmpty(limited.limits) as is_idle,
        limited.is_running_out as is_running_out,
        limited.unknown_calls as unknown_calls,
        limited.is_denied as is_denied,
        limited.warning as warning,
        limited.share as share,
        greatest(limited.clock_at, grants.as_of) as clock_at,
        refused.refusals as refusals
    from ({_LIMITS}) as limited
    full outer join analytics.fct_grants as grants on limited.holder_key = grants.grant_key
    left join (
        select organization, grant_name, count() as refusals
        from analytics.fct_refusals
        where accepted_at >= fromUnixTimestamp64Second({{since:Int64}}, 'UTC') and grant_name != ''
        group by organization, grant_name
    ) as refused on refused.organization = grants.organization and refused.grant_name = grants.grant_name
"""
_TOTALS = {
    "holders": "count()",
    "grants": "countIf(kind = 'grant')",
    "at_limit": "countIf(is_at_limit)",
    "near_limit": "countIf(is_near_limit)",
    "running_out": "countIf(is_running_out)",
    "stopped": "countIf(state != 'active')",
    "refusals": "sum(refusals)",
    "with_unknown": "countIf(unknown_calls > 0)",
    "denied": "countIf(is_denied)",
    "warned": "groupArrayIf(6)((dimension, scope_value), warning != '')",
    "organizations": "uniqExact(organization)",
    "clock_at": "max(clock_at)",
    "fullest": "groupArrayIf(3)((organization, kind, grant_name, dimension, scope_value), is_at_limit)",
    "most_refused": "argMax((organization, grant_name, refusals), refusals)",
}
"""Counts over all grants and budgets, whatever a table shows of them."""


class Listing(NamedTuple):
    """Rows of a view, how many there are of it, and what is counted over all."""

    rows: list[Row]
    number: int
    totals: Row


def list_holders(view: str, hours: int, rows: Slice) -> Listing:
    """List grants and budgets of a view of ``VIEWS``: all as a tree, each other view the fullest first. The list and
    the totals are one query, since budgets take long to judge."""
    order = "kind desc, organization, path, dimension, scope_value, holder_key"
    if view != "all":
        order = f"share desc, {order}"
    totals = ", ".join(f"{expression} over () as total_{name}" for name, expression in _TOTALS.items())
    matches = build_search(("organization", "grant_name", "dimension", "scope_value"))
    sql = f"""
        select * from (
            select
                *,
                {totals},
                {VIEWS[view]} and {matches} as is_match,
                sum(is_match) over () as number,
                row_number() over (partition by is_match order by {order}) as place,
                row_number() over (order by {order}) as first_place
            from ({_HOLDERS}) as holders
        ) as placed
        where is_match and place > {{first:UInt32}} and place <= {{first:UInt32}} + {{size:UInt32}} or first_place = 1
        order by place
    """
    answer = ask(sql, near=NEAR_LIMIT_PERCENT, since=_find_start_s(hours), **rows.build_parameters())
    if not answer:
        return Listing([], 0, {})
    totals_row = {name: answer[0][f"total_{name}"] for name in _TOTALS}
    shown_rows = [row for row in answer if row["is_match"] and rows.first < row["place"] <= rows.last]
    return Listing([_read_limits(row) for row in shown_rows], int(answer[0]["number"]), totals_row)


def find_grant(organization: str, name: str) -> Row | None:
    """Return a grant; None where there is none."""
    rows = ask(f"select * from analytics.fct_grants where {_IS_GRANT}", organization=organization, grant=name)
    return rows[0] if rows else None


def list_limits(organization: str, names: list[str]) -> list[Row]:
    """List the limits of some grants."""
    return ask(
        f"select grant_name, {', '.join(LIMIT_FIELDS)} from analytics.fct_grant_limits where kind = 'grant'"
        " and organization = {organization:String} and grant_name in {names:Array(String)} order by limit_key",
        organization=organization, names=names,
    )  # fmt: skip


def list_children(organization: str, name: str, rows: Slice) -> list[Row]:
    """List the grants right below a grant; ``number`` in each row counts all that match."""
    return ask(
        "select *, count() over () as number from analytics.fct_grants where organization = {organization:String}"
        f" and parent_name = {{grant:String}} and {build_search(('grant_name', 'dimension', 'scope_value'))}"
        f" order by grant_name {build_limit()}",
        organization=organization, grant=name, **rows.build_parameters(),
    )  # fmt: skip


def list_refusals(hours: int, rows: Slice, grant: tuple[str, str] | None = None) -> list[Row]:
    """List refusals of a period, the newest first, of all or of one grant (organization, name); ``number`` in each row
    counts all that match."""
    condition = f"{_IS_GRANT} and " if grant else ""
    searched = ("organization", "grant_name", "reason", "limit_key", "model_asked", "ask_id", "toString(scopes)")
    parameters = dict(zip(("organization", "grant"), grant, strict=True)) if grant else {}
    return ask(
        "select *, count() over () as number from analytics.fct_refusals where"
        f" accepted_at >= fromUnixTimestamp64Second({{since:Int64}}, 'UTC') and {condition}{build_search(searched)}"
        f" order by accepted_at desc, log_offset desc, seq desc {build_limit()}",
        since=_find_start_s(hours), **parameters, **rows.build_parameters(),
    )  # fmt: skip


def find_refusal(key: str) -> Row | None:
    """Return a refusal by its key, the position of its decision; None where there is none."""
    rows = ask(
        "select * from analytics.fct_refusals where log_partition = {partition:UInt16} and log_offset = {offset:UInt64}"
        " and seq = {seq:UInt32}",
        **_read_key(key),
    )
    return rows[0] if rows else None


def find_budget(budget: BudgetIdentity) -> Row | None:
    """Return one budget with its burn rate and forecast; None where there is none."""
    rows = ask(f"select * from analytics.fct_budgets where {_IS_BUDGET}", **budget._asdict())
    if not rows:
        return None
    (limit,) = ask(
        "select burn_per_hour, used_up_at from analytics.fct_grant_limits where kind = 'budget' and " + _IS_BUDGET,
        **budget._asdict(),
    )
    return rows[0] | limit


def list_crossings(rows: Slice, budget: BudgetIdentity | None = None) -> list[Row]:
    """List crossings of one budget or of all, the newest first, by the budgets' own clocks; ``number`` in each row
    counts all that match."""
    condition = f"{_IS_BUDGET} and " if budget else ""
    sql = (
        "select *, count() over () as number from analytics.fct_budget_crossings"
        f" where {condition}{build_search(('organization', 'dimension', 'scope_value', 'event_id'))}"
        f" order by window_ends_at desc, log_offset desc, seq desc {build_limit()}"
    )
    return ask(sql, **rows.build_parameters(), **(budget._asdict() if budget else {}))


def _find_start_s(hours: int) -> int:
    """Return the beginning of a period that ends now, on a whole minute, so that an answer holds within it."""
    return int(time.time()) // 60 * 60 - hours * 3600


def _read_limits(row: Row) -> Row:
    """Return a row whose limits are rows too."""
    limits: list[dict[str, Any]] = [dict(zip(LIMIT_FIELDS, tuple(values)[1:], strict=True)) for values in row["limits"]]
    return row | {"limits": limits}


def _read_key(key: str) -> dict[str, int]:
    """Read the key of a refusal; a position that does not exist where it is none."""
    parts = key.split("-")
    is_key = len(parts) == 3 and all(part.isdecimal() and part.isascii() and len(part) < 10 for part in parts)
    return dict(zip(("partition", "offset", "seq"), map(int, parts) if is_key else (0, 0, 0), strict=True))


_IS_GRANT = "organization = {organization:String} and grant_name = {grant:String}"
_IS_BUDGET = (
    "organization = {organization:String} and dimension = {dimension:String} and scope_value = {scope_value:String}"
    " and window_s = {window_s:UInt64}"
)
