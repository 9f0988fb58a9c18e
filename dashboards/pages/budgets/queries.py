"""Queries of the page Budgets: each budget as the folds would judge it now, and its threshold crossings."""

from dashboards.components.links import BudgetIdentity
from dashboards.sources.warehouse import Row, ask


def list_budgets(max_rows: int = 200) -> list[Row]:
    """List the budgets, the most used first; ``number`` in each row counts them all."""
    sql = (
        "select *, count() over () as number from analytics.fct_budgets"
        " order by toFloat64(used_amount) / toFloat64(limit_amount) desc, dimension, scope_value, window_s"
        " limit {max_rows:UInt32}"
    )
    return ask(sql, max_rows=max_rows)


def find_budget(budget: BudgetIdentity) -> Row | None:
    """Return one budget; None where there is none."""
    rows = ask(f"select * from analytics.fct_budgets where {_IS_BUDGET}", **budget._asdict())
    return rows[0] if rows else None


def list_crossings(budget: BudgetIdentity | None = None, max_rows: int = 20) -> list[Row]:
    """List the newest crossings of one budget or of all, by the budgets' own clocks."""
    condition = f" where {_IS_BUDGET}" if budget else ""
    sql = (
        f"select * from analytics.fct_budget_crossings{condition}"
        " order by window_ends_at desc, log_offset desc, seq desc limit {max_rows:UInt32}"
    )
    return ask(sql, max_rows=max_rows, **(budget._asdict() if budget else {}))


_IS_BUDGET = (
    "organization = {organization:String} and dimension = {dimension:String} and scope_value = {scope_value:String}"
    " and window_s = {window_s:UInt64}"
)
