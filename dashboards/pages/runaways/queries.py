"""Queries of the page Runaways: agents that learn nothing new, and the calls of one run."""

from collections.abc import Mapping
from typing import NamedTuple

from dashboards.slices import Slice, build_limit, build_search
from dashboards.sources.warehouse import Row, ask

_ALERTS_MATCH = ("agent", "team", "tool", "session", "alert_id")
_LISTING = f"""
    select
        *,
        is_agent and is_agent_match as is_agent_row,
        row_number() over (partition by is_agent_row order by agent_alerts desc, agent, team) as agent_place,
        sum(is_agent_row) over () as agent_number
    from (
        select
            *,
            row_number() over (partition by is_open order by alert_id) = 1 as is_state,
            count() over (partition by is_open) as state_alerts,
            sumMap(spent) over (partition by is_open) as state_spent,
            if(
                is_open, {build_search(_ALERTS_MATCH, "active_")}, {build_search(_ALERTS_MATCH, "resolved_")}
            ) as is_match,
            sum(is_match) over (partition by is_open) as number,
            row_number() over (partition by is_open, is_match order by last_at desc, alert_id) as place,
            {build_search(("agent", "team"), "agents_")} as is_agent_match,
            row_number() over (partition by agent, team order by alert_id) = 1 as is_agent,
            count() over (partition by agent, team) as agent_alerts,
            sum(is_open) over (partition by agent, team) as agent_going_on,
            sum(calls) over (partition by agent, team) as agent_calls,
            max(last_at) over (partition by agent, team) as agent_last_at,
            sumMap(spent) over (partition by agent, team) as agent_spent
        from analytics.fct_runaways
    )
    where true
    qualify is_state
        or (is_match and is_open and place > {{active_first:UInt32}}
            and place <= {{active_first:UInt32}} + {{active_size:UInt32}})
        or (is_match and not is_open and place > {{resolved_first:UInt32}}
            and place <= {{resolved_first:UInt32}} + {{resolved_size:UInt32}})
        or (is_agent_row and agent_place > {{agents_first:UInt32}}
            and agent_place <= {{agents_first:UInt32}} + {{agents_size:UInt32}})
    order by is_open desc, place
"""
"""The alerts by state and by agent, and the rows of three tables, in one query, since runs take long to sum."""


class Listing(NamedTuple):
    """What the page lists: the alerts by state, active (True) and resolved, with the list cost of their runs by
    currency; those of each state that match its search, the newest latest call first; and the agents with the most
    alerts. ``number`` in each row counts all that match."""

    totals: Mapping[bool, Row]
    alerts: Mapping[bool, list[Row]]
    agents: list[Row]


def read_listing(active: Slice, resolved: Slice, agents: Slice) -> Listing:
    """Read what the page lists; nothing where there is no alert."""
    rows = ask(
        _LISTING,
        **active.build_parameters("active_"),
        **resolved.build_parameters("resolved_"),
        **agents.build_parameters("agents_"),
    )
    names = ("alerts", "going_on", "calls", "last_at", "spent", "number")
    agent_rows = [row for row in rows if row["is_agent_row"] and agents.first < row["agent_place"] <= agents.last]
    return Listing(
        {
            bool(row["is_open"]): {"alerts": row["state_alerts"], "spent": row["state_spent"]}
            for row in rows
            if row["is_state"]
        },
        {True: _select_alerts(rows, True, active), False: _select_alerts(rows, False, resolved)},
        [
            {"agent": row["agent"], "team": row["team"], **{name: row[f"agent_{name}"] for name in names}}
            for row in sorted(agent_rows, key=lambda row: row["agent_place"])
        ],
    )


def _select_alerts(rows: list[Row], is_open: bool, selection: Slice) -> list[Row]:
    matches = [row for row in rows if bool(row["is_open"]) is is_open and row["is_match"]]
    return [row for row in matches if selection.first < row["place"] <= selection.last]


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
