"""Queries of the page Runaways: agents that learn nothing new, and the calls of one run."""

from dashboards.slices import Slice, build_limit, build_search
from dashboards.sources.warehouse import Row, ask

_TOTALS = (
    "select grouping(is_open) = 0 as is_total, is_open, agent, team, count() as alerts, sum(is_open) as going_on,"
    " sum(calls) as calls, max(last_at) as last_at, sumMap(spent) as spent,"
    " count() over (partition by is_total) as number"
    " from analytics.fct_runaways group by grouping sets ((is_open), (agent, team))"
    f" having is_total or {build_search(('agent', 'team'))} order by alerts desc, agent, team"
    " limit {first:UInt32}, {size:UInt32} by is_total"
)
"""The alerts by state and by agent, in one query."""


def count_alerts() -> dict[bool, Row]:
    """Count active (True) and resolved alerts, with the list cost of their runs by currency."""
    rows = ask(_TOTALS, **Slice(size=2).build_parameters())
    return {bool(row["is_open"]): row for row in rows if row["is_total"]}


def list_agents(rows: Slice) -> list[Row]:
    """List the agents with the most alerts, with the list cost of their runs by currency; ``number`` in each row counts
    all that match."""
    return [row for row in ask(_TOTALS, **rows.build_parameters()) if not row["is_total"]]


def list_alerts(is_active: bool, rows: Slice) -> list[Row]:
    """List active or resolved alerts, the newest latest call first; ``number`` in each row counts all that match."""
    sql = (
        "select *, count() over () as number from analytics.fct_runaways where is_open = {is_active:Bool}"
        f" and {build_search(('agent', 'team', 'tool', 'session', 'alert_id'))}"
        f" order by last_at desc, alert_id {build_limit()}"
    )
    return ask(sql, is_active=is_active, **rows.build_parameters())


def find_alert(alert: str) -> Row | None:
    """Return the current state of an alert; None where there is none."""
    rows = ask("select * from analytics.fct_runaways where alert_id = {alert:String}", alert=alert)
    return rows[0] if rows else None


def list_calls(alert: str, rows: Slice) -> list[Row]:
    """List calls of a run, in the order of the log; ``number`` in each row counts them all, and ``repeats_so_far``
    those that repeat, up to it."""
    sql = (
        "select *, count() over () as number,"
        " sum(is_repeat) over (order by log_offset, event_index rows unbounded preceding) as repeats_so_far"
        " from analytics.fct_runaway_calls where alert_id = {alert:String}"
        f" order by log_offset, event_index {build_limit()}"
    )
    return ask(sql, alert=alert, **rows.build_parameters())
