"""The questions of the trust page: what came in, what became of it, and what was decided."""

from dashboards.sources.warehouse import Row, ask
from ledger.outcomes import OUTCOMES

COUNTS = ("received", "rejected", "accepted", *OUTCOMES)

Counts = tuple[str, dict[str, int]]
"""The counts of an organization or a door, by ``COUNTS``."""

_SUMS = ", ".join(f"sum({name}) as all_{name}" for name in COUNTS)


def sum_counts_by(dimension: str, max_rows: int = 1000) -> list[Counts]:
    """The counts of each ``organization`` or ``door``, the largest first."""
    sql = (
        f"select {dimension} as name, {_SUMS} from analytics.fct_intake group by name"
        " order by all_received desc, name limit {most:UInt32}"
    )
    return [(row["name"], _read_counts(row)) for row in ask(sql, most=max_rows)]


def add_counts(rows: list[Counts]) -> dict[str, int]:
    """The counts of all facts, whose parts these are."""
    return {name: sum(counts[name] for _, counts in rows) for name in COUNTS}


def adds_up(counts: dict[str, int]) -> bool:
    """Whether both equations hold: nothing that was received is missing from what became of it."""
    outcomes = sum(counts[name] for name in OUTCOMES)
    return counts["received"] == counts["accepted"] + counts["rejected"] and counts["accepted"] == outcomes


def _read_counts(row: Row) -> dict[str, int]:
    return {name: int(row[f"all_{name}"]) for name in COUNTS}


def list_unpriced_models(max_rows: int = 20) -> list[Row]:
    """The models whose tokens have no price, and how many."""
    sql = (
        "select provider, model, sum(unpriced_tokens) as lacking, sum(tokens) as of_all,"
        " max(occurred_at) as last_at from analytics.fct_usage where class != 'call'"
        " group by provider, model having lacking > 0 order by lacking desc limit {most:UInt32}"
    )
    return ask(sql, most=max_rows)


def list_newest_events(outcome: str, max_rows: int = 10) -> list[Row]:
    """The newest conflicts, or what was quarantined last."""
    sql = (
        "select outcome, accepted_at, organization, event_source, event_id, kind, reason, detail, log_partition,"
        " log_offset, event_index, first_offset, first_index from analytics.fct_outcomes"
        " where outcome = {outcome:String} order by accepted_at desc, log_offset desc, event_index desc"
        " limit {most:UInt32}"
    )
    return ask(sql, outcome=outcome, most=max_rows)


def list_decisions(controls: bool, max_rows: int = 10) -> list[Row]:
    """The newest decisions: about thresholds, or about controls. What concerns everyone is decided once in each
    partition of the log, and told once."""
    sql = (
        "select * from analytics.fct_decisions"
        " where startsWith(decision, if({controls:Bool}, 'control.', 'threshold.'))"
        " order by accepted_at desc, log_offset desc, seq desc"
        " limit 1 by if({controls:Bool}, concat(event_source, ' ', event_id), decision_key) limit {most:UInt32}"
    )
    return ask(sql, controls=controls, most=max_rows)


def list_alerts(max_rows: int = 10) -> list[Row]:
    """The newest alerts, each as it stands now."""
    sql = (
        "select alert_id, argMax(alert_state, (log_offset, seq)) as state_now, any(organization) as whose,"
        " any(detector) as what, any(session) as of_session, any(agent) as of_agent, any(tool) as of_tool,"
        " max(repeats) as times, min(accepted_at) as raised_at from analytics.fct_alerts"
        " group by alert_id order by raised_at desc limit {most:UInt32}"
    )
    return ask(sql, most=max_rows)


def count_stored_records() -> dict[int, int]:
    """How many records of each partition the warehouse has."""
    sql = "select log_partition, max(log_offset) + 1 as records from analytics.fct_records group by log_partition"
    return {int(row["log_partition"]): int(row["records"]) for row in ask(sql)}
