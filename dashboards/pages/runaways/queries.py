"""The questions of the runaways page: sessions that repeat a call, and the calls of one."""

from dashboards.sources.warehouse import Row, ask


def count_alerts() -> dict[bool, Row]:
    """How many alerts go on (True), how many ended, and what their runs cost at list price, by currency."""
    sql = "select is_open, count() as alerts, sumMap(spent) as spent from analytics.fct_runaways group by is_open"
    return {bool(row["is_open"]): row for row in ask(sql)}


def list_alerts(is_active: bool, max_rows: int = 50) -> list[Row]:
    """Those that go on, or those that ended; by the time of their latest call, the newest first."""
    sql = (
        "select * from analytics.fct_runaways where is_open = {going_on:Bool}"
        " order by last_at desc, alert_id limit {most:UInt32}"
    )
    return ask(sql, going_on=is_active, most=max_rows)


def list_agents(max_rows: int = 12) -> list[Row]:
    """Which agents run away most, and what it cost at list price, by currency."""
    sql = (
        "select agent, team, count() as alerts, sum(is_open) as going_on, sum(calls) as calls, max(last_at) as last_at,"
        " sumMap(spent) as spent from analytics.fct_runaways group by agent, team order by alerts desc, agent, team"
        " limit {most:UInt32}"
    )
    return ask(sql, most=max_rows)


def find_alert(alert: str) -> Row | None:
    """One alert as it stands; None where there is none."""
    rows = ask("select * from analytics.fct_runaways where alert_id = {alert:String}", alert=alert)
    return rows[0] if rows else None


def list_calls(alert: str, max_rows: int = 100) -> list[Row]:
    """The first calls of a run, in the order of the log."""
    sql = (
        "select * from analytics.fct_runaway_calls where alert_id = {alert:String}"
        " order by log_offset, event_index limit {most:UInt32}"
    )
    return ask(sql, alert=alert, most=max_rows)
