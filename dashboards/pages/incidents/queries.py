"""Queries of the page Incidents. Lists read the narrow tables of alerts and decisions alone; calls are read of the
episodes that are shown, and of one episode."""

from collections.abc import Sequence
from typing import Any

from dashboards.slices import Slice, build_limit, build_search
from dashboards.sources.warehouse import Row, ask

KINDS = {"all kinds": "", "runaways": "runaway", "budgets at their limit": "budget_crossing"}
"""The words of the filter, and the kind that each leaves."""

_MATCH = ("agent", "team", "tool", "session", "scope_value", "episode_id")
_COLUMNS = (
    "episode_id, kind, organization, state, severity, detector, families, dimension, scope_value, team, agent, session,"
    " tool, repeats, began_at, detected_at, acknowledged_at, closed_at, last_at, reason, spent, per_hour, label"
)
_IS_KIND = "(empty({kind:String}) or kind = {kind:String})"


def sum_states() -> list[Row]:
    """Return each state and kind with the number of its episodes, and what they cost and cost an hour, by currency."""
    return ask(
        "select state, kind, count() as episodes, sumMap(spent) as spent, sumMap(per_hour) as per_hour,"
        " max(detected_at) as last_detected_at"
        " from (select state, kind, spent, per_hour, detected_at from analytics.fct_episodes) group by state, kind"
    )


def list_active(kind: str, rows: Slice) -> list[Row]:
    """List active episodes of a kind, or of all where it is empty, the one that costs most an hour first, with what
    each runaway has cost so far; ``number`` in each row counts all that match."""
    found = ask(
        f"select {_COLUMNS}, count() over () as number from analytics.fct_episodes"
        f" where state = 'active' and {_IS_KIND} and {build_search(_MATCH)}"
        " order by arrayMax(mapValues(per_hour)) desc, kind = 'runaway' desc, began_at desc, episode_id"
        f" {build_limit()}",
        kind=kind, **rows.build_parameters(),
    )  # fmt: skip
    return _add_progress(found)


def list_over(kind: str, rows: Slice) -> list[Row]:
    """List episodes that are closed, and those of the past, the newest beginning first, as ``list_active`` does."""
    return ask(
        f"select {_COLUMNS}, count() over () as number from analytics.fct_episodes"
        f" where state != 'active' and {_IS_KIND} and {build_search(_MATCH)}"
        f" order by began_at desc, episode_id {build_limit()}",
        kind=kind, **rows.build_parameters(),
    )  # fmt: skip


def find_episode(episode: str) -> Row | None:
    """Return an episode with its owner, and with what an active runaway has cost so far; None where there is none."""
    rows = ask("select * from analytics.fct_episodes where episode_id = {episode:String}", episode=episode)
    return _add_progress(rows)[0] if rows else None


def list_minutes(episode: str) -> list[Row]:
    """List the minutes of a runaway in which it had calls, the first one first."""
    return ask(
        "select minute_at, calls, repeats, tokens, spent from analytics.fct_episode_minutes"
        " where episode_id = {episode:String} order by minute_at",
        episode=episode,
    )


def list_calls(episode: str, rows: Slice) -> list[Row]:
    """List calls of a run, in the order of the log; ``number`` in each row counts them all, and ``repeats_so_far``
    those that repeat, up to it."""
    sql = (
        "select *, count() over () as number,"
        " sum(is_repeat) over (order by log_offset, event_index rows unbounded preceding) as repeats_so_far"
        " from analytics.fct_runaway_calls where alert_id = {episode:String}"
        f" order by log_offset, event_index {build_limit()}"
    )
    return ask(sql, episode=episode, **rows.build_parameters())


def list_detectors() -> list[Row]:
    """List each detector and month of event time with its alerts, and how many people called right and wrong."""
    return ask(
        "select detector, toStartOfMonth(began_at) as month, count() as alerts, countIf(label = 'true') as right,"
        " countIf(label = 'false') as wrong"
        " from (select kind, detector, began_at, label from analytics.fct_episodes where kind = 'runaway')"
        " group by detector, month order by month desc, alerts desc, detector"
    )


def _add_progress(rows: Sequence[Row]) -> list[Row]:
    """Return the episodes with the figures of the calls so far of active runaways: the folds tell of a run anew only
    where it escalates."""
    ids = [row["episode_id"] for row in rows if row["state"] == "active" and row["kind"] == "runaway"]
    if not ids:
        return list(rows)
    progress: dict[str, dict[str, Any]] = {
        row["episode_id"]: row
        for row in ask(
            "select alert_id as episode_id, max(occurred_at) as last_at, max(accepted_at) as last_accepted_at,"
            " toUInt64(sum(is_repeat)) as repeats,"
            " sumMapIf(map(toString(currency), ifNull(list_cost, 0)), currency != '') as spent"
            " from analytics.fct_runaway_calls where alert_id in {ids:Array(String)} group by alert_id",
            ids=ids,
        )
    }
    return [row | progress.get(row["episode_id"], {}) for row in rows]
