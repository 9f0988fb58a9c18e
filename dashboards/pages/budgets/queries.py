"""The questions of the budgets page: each budget as the folds would judge it now, and the thresholds it crossed."""

from dashboards.components.links import Identity
from dashboards.sources.warehouse import Row, ask


def standing(most: int = 200) -> list[Row]:
    """The budgets, the fullest first; each says how many there are."""
    sql = (
        "select *, count() over () as number from analytics.fct_budgets"
        " order by toFloat64(used_amount) / toFloat64(limit_amount) desc, dimension, scope_value, window_s"
        " limit {most:UInt32}"
    )
    return ask(sql, most=most)


def one(budget: Identity) -> Row | None:
    """One budget; None where there is none."""
    rows = ask(f"select * from analytics.fct_budgets where {_OF}", **budget._asdict())
    return rows[0] if rows else None


def crossings(budget: Identity | None = None, most: int = 20) -> list[Row]:
    """The newest crossings, of one budget or of all, by the budgets' own clocks."""
    where = f" where {_OF}" if budget else ""
    sql = (
        f"select * from analytics.fct_budget_crossings{where}"
        " order by window_ends_at desc, log_offset desc, seq desc limit {most:UInt32}"
    )
    return ask(sql, most=most, **(budget._asdict() if budget else {}))


_OF = (
    "organization = {organization:String} and dimension = {dimension:String} and scope_value = {scope_value:String}"
    " and window_s = {window_s:UInt64}"
)
