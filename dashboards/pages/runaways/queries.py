"""Queries of the page Runaways: sessions that repeat a call, and the calls of one."""

from dashboards.sources.warehouse import Row, ask

_TOTALS = (
    "select grouping(is_open) = 0 as is_total, is_open, agent, team, count() as alerts, sum(is_open) as going_on,"
    " sum(calls) as calls, max(last_at) as last_at, sumMap(spent) as spent from analytics.fct_runaways"
    " group by grouping sets ((is_open), (agent, team)) order by alerts desc, agent, team"
    " limit {max_rows:UInt32} by is_total"
)
"""The alerts by state and by agent, in one query."""


def count_alerts() -> dict[bool, Row]:
    """Count active (True) and resolved alerts, with the list cost of their runs by currency."""
    return {bool(row["is_open"]): row for row in _list_totals() if row["is_total"]}


def list_agents() -> list[Row]:
    """List the agents with the most alerts, with the list cost of their runs by currency."""
    return [row for row in _list_totals() if not row["is_total"]]


def _list_totals(max_rows: int = 12) -> list[Row]:
    return ask(_TOTALS, max_rows=max_rows)


def list_alerts(is_active: bool, max_rows: int = 50) -> list[Row]:
    """List active or resolved alerts, the newest latest call first."""
    sql = "select * from analytics.fct_runaways order by last_at desc, alert_id limit {max_rows:UInt32} by is_open"
    return [row for row in ask(sql, max_rows=max_rows) if bool(row["is_open"]) == is_active]


def find_alert(alert: str) -> Row | None:
    """Return the current state of an alert; None where there is none."""
    rows = ask("select * from analytics.fct_runaways where alert_id = {alert:String}", alert=alert)
    return rows[0] if rows else None


def list_calls(alert: str, max_rows: int = 100) -> list[Row]:
    """List the first calls of a run, in the order of the log."""
    sql = (
        "select * from analytics.fct_runaway_calls where alert_id = {alert:String}"
        " order by log_offset, event_index limit {max_rows:UInt32}"
    )
    return ask(sql, alert=alert, max_rows=max_rows)
