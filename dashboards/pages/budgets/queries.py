"""Queries of the page Budgets: each budget as the folds would judge it now, and its threshold crossings."""

from dashboards.components.links import BudgetIdentity
from dashboards.slices import Slice, build_limit, build_search
from dashboards.sources.warehouse import Row, ask

NEAR_LIMIT_PERCENT = 80
"""A budget at this percent of its limit is near it."""
_IS_NEAR = "used_amount * 100 >= limit_amount * {near:UInt8}"
VIEWS = {
    "all": "true",
    "crossed": "fired_percent > 0",
    "at limit": "remaining_amount <= 0",
    "near limit": f"remaining_amount > 0 and {_IS_NEAR}",
}
"""The views of the table, with their conditions."""


def count_budgets() -> Row:
    """Count all budgets by their state, whatever a table shows of them. ``warned`` names up to five of those that may
    count nothing, ``clock_at`` is the newest moment of the figures."""
    (row,) = ask(
        "select count() as budgets, countIf(remaining_amount <= 0) as at_limit,"
        f" countIf(remaining_amount > 0 and {_IS_NEAR}) as near_limit, countIf(unknown_calls > 0) as with_unknown,"
        " countIf(is_denied) as denied, countIf(warning != '') as with_warning,"
        " groupArrayIf(5)((dimension, scope_value, window_s), warning != '') as warned, max(clock_at) as clock_at,"
        " uniqExact(organization) as organizations from analytics.fct_budgets",
        near=NEAR_LIMIT_PERCENT,
    )
    return row


def list_spending() -> list[Row]:
    """List what a forecast needs of each budget that has spend and is below its limit."""
    return ask(
        "select limit_amount, spend_by_bucket, bucket_s, clock_at, window_ends_at from analytics.fct_budgets"
        " where used_amount > 0 and remaining_amount > 0"
    )


def list_budgets(view: str, rows: Slice) -> list[Row]:
    """List budgets of a view of ``VIEWS``, the most used first; ``number`` in each row counts all that match."""
    sql = (
        "select *, count() over () as number from analytics.fct_budgets"
        f" where {VIEWS[view]} and {build_search(('organization', 'dimension', 'scope_value'))}"
        " order by toFloat64(used_amount) / toFloat64(limit_amount) desc,"
        " dimension, scope_value, window_s, organization"
        f" {build_limit()}"
    )
    return ask(sql, near=NEAR_LIMIT_PERCENT, **rows.build_parameters())


def find_budget(budget: BudgetIdentity) -> Row | None:
    """Return one budget; None where there is none."""
    rows = ask(f"select * from analytics.fct_budgets where {_IS_BUDGET}", **budget._asdict())
    return rows[0] if rows else None


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


_IS_BUDGET = (
    "organization = {organization:String} and dimension = {dimension:String} and scope_value = {scope_value:String}"
    " and window_s = {window_s:UInt64}"
)
