"""Queries of the page Trust: counts of events by outcome, and decisions."""

from datetime import datetime

from dashboards.slices import Slice, build_limit, build_search
from dashboards.sources.warehouse import Row, ask
from ledger.outcomes import OUTCOMES

COUNTS = ("received", "rejected", "accepted", *OUTCOMES)

Counts = tuple[str, dict[str, int]]
"""An organization or a channel with its counts, by ``COUNTS``."""

_SUMS = ", ".join(f"sum({name}) as all_{name}" for name in COUNTS)
_COUNTS = (
    "select if(grouping(organization) = 0, 'organization', 'channel') as dimension,"
    f" if(dimension = 'organization', organization::String, channel::String) as name, {_SUMS}"
    " from analytics.fct_intake group by grouping sets ((organization), (channel))"
    " order by all_received desc, name limit {max_rows:UInt32} by dimension"
)
"""The counts by each dimension, in one query."""


def sum_counts_by(dimension: str, max_rows: int = 1000) -> list[Counts]:
    """Sum the counts of each ``organization`` or ``channel``, the largest first."""
    rows = ask(_COUNTS, max_rows=max_rows)
    return [(row["name"], _read_counts(row)) for row in rows if row["dimension"] == dimension]


def add_counts(rows: list[Counts]) -> dict[str, int]:
    """Add up the counts of all organizations or channels."""
    return {name: sum(counts[name] for _, counts in rows) for name in COUNTS}


def adds_up(counts: dict[str, int]) -> bool:
    """Tell whether both sums of completeness hold: every received event has an outcome."""
    outcomes = sum(counts[name] for name in OUTCOMES)
    return counts["received"] == counts["accepted"] + counts["rejected"] and counts["accepted"] == outcomes


def _read_counts(row: Row) -> dict[str, int]:
    return {name: int(row[f"all_{name}"]) for name in COUNTS}


def list_unknown_usage(rows: Slice) -> list[Row]:
    """List the models of calls whose cost is not known, one row each: their providers, the calls, the tokens, the most
    that they may cost by currency (``bounds``), and the time of the newest such call; ``number`` in each row, as in
    those of the other lists, counts all that match."""
    unknown = "sum(unknown_calls) + sum(unpriced_calls) + sum(quarantined_calls)"
    sql = (
        "select model, groupUniqArrayArray(providers) as provider_names, sum(unknown_sum) as without_usage,"
        " sum(unpriced_sum) as without_price, sum(quarantined_sum) as in_quarantine,"
        " sum(unbounded_sum) as without_bound, sum(tokens_sum) as tokens_told,"
        " groupArrayIf((currency, bound), bound > 0) as bounds, max(newest_hour) as last_hour,"
        " count() over () as number from ("
        "select model, currency, groupUniqArray(provider) as providers, sum(unknown) as unknown_sum,"
        " sum(unpriced) as unpriced_sum, sum(quarantined) as quarantined_sum, sum(unbounded) as unbounded_sum,"
        " sum(hour_tokens) as tokens_sum, ifNull(sum(hour_bound), 0) as bound, max(charge_hour) as newest_hour from ("
        "select model, currency, provider, charge_hour, sum(unknown_calls) as unknown,"
        " sum(unpriced_calls) as unpriced, sum(quarantined_calls) as quarantined, sum(unbounded_calls) as unbounded,"
        " sum(unpriced_tokens + unknown_tokens) as hour_tokens, sum(greatest_unpriced_cost) as hour_bound"
        f" from analytics.fct_usage_hourly where {build_search(('provider', 'model'))}"
        f" group by model, currency, provider, charge_hour having {unknown} > 0"
        ") group by model, currency) group by model"
        f" order by without_usage + without_price + in_quarantine desc, model {build_limit()}"
    )
    models = ask(sql, **rows.build_parameters())
    times = _find_newest_times(models)
    return [row | {"last_at": times.get(row["model"], row["last_hour"])} for row in models]


def _find_newest_times(rows: list[Row]) -> dict[str, datetime]:
    """Find the time of the newest call of unknown cost of each model, within the hour that has it. What takes a call
    back has its time, so the two add up to nothing."""
    parameters: dict[str, object] = {}
    conditions = []
    for number, row in enumerate(rows):
        conditions.append(
            f"(model = {{model{number}:String}} and occurred_at >= fromUnixTimestamp64Second({{hour{number}:Int64}})"
            f" and occurred_at < fromUnixTimestamp64Second({{hour{number}:Int64}} + 3600))"
        )
        parameters |= {f"model{number}": row["model"], f"hour{number}": int(row["last_hour"].timestamp())}
    if not conditions:
        return {}
    newest = ask(
        "select model, max(occurred_at) as last_at from (select model, occurred_at from analytics.fct_usage"
        f" where {' or '.join(conditions)} group by model, occurred_at"
        " having sum(unknown_calls + unpriced_calls + quarantined_calls) > 0) group by model",
        **parameters,
    )
    return {row["model"]: row["last_at"] for row in newest}


def list_left_out_fields(rows: Slice) -> list[Row]:
    """List the fields that sources sent and that were left out, those of the most calls first."""
    sql = (
        "select source_name, field_name, sum(calls) as all_calls, max(last_occurred_at) as last_at,"
        " count() over () as number from analytics.fct_left_out_fields"
        f" where {build_search(('source_name', 'field_name'))} group by source_name, field_name"
        f" order by all_calls desc, source_name, field_name {build_limit()}"
    )
    return ask(sql, **rows.build_parameters())


def list_newest_events(outcome: str, rows: Slice) -> list[Row]:
    """List the newest events of an outcome."""
    sql = (
        "select outcome, accepted_at, occurred_at, organization, event_source, event_id, kind, reason, detail,"
        " log_partition, log_offset, event_index, first_offset, first_index, count() over () as number"
        " from analytics.fct_outcomes where outcome = {outcome:String}"
        f" and {build_search(('organization', 'event_source', 'event_id', 'reason', 'detail'))}"
        f" order by accepted_at desc, log_offset desc, event_index desc {build_limit()}"
    )
    return ask(sql, outcome=outcome, **rows.build_parameters())


def list_decisions(controls: bool, rows: Slice) -> list[Row]:
    """List the newest decisions about control records and corrections, or about budgets. A decision for everyone is
    made in each partition of the log, and listed once."""
    sql = (
        "select *, count() over () as number from (select * from analytics.fct_decisions"
        " where match(decision, if({controls:Bool}, '^(control|correction)[.]', '^(threshold|unknown_usage)[.]'))"
        f" and {build_search(_DECISION_TEXTS)} order by accepted_at desc, log_offset desc, seq desc"
        " limit 1 by if({controls:Bool}, concat(organization, ' ', event_source, ' ', event_id), decision_key))"
        f" order by accepted_at desc, log_offset desc, seq desc {build_limit()}"
    )
    return ask(sql, controls=controls, **rows.build_parameters())


_DECISION_TEXTS = ("organization", "control_type", "decision", "dimension", "scope_value", "reason", "event_id")


def list_alerts(rows: Slice) -> list[Row]:
    """List the newest alerts in their current state."""
    sql = (
        "select alert_id, argMax(alert_state, (log_offset, seq)) as state_now, any(organization) as whose,"
        " any(detector) as what, any(session) as of_session, any(agent) as of_agent, any(tool) as of_tool,"
        " max(repeats) as times, min(accepted_at) as raised_at, count() over () as number from analytics.fct_alerts"
        f" where {build_search(('alert_id', 'organization', 'session', 'agent', 'tool'))}"
        f" group by alert_id order by raised_at desc, alert_id {build_limit()}"
    )
    return ask(sql, **rows.build_parameters())


def count_stored_records() -> dict[int, int]:
    """Count the records of each partition in the warehouse."""
    sql = "select log_partition, max(log_offset) + 1 as records from analytics.fct_records group by log_partition"
    return {int(row["log_partition"]): int(row["records"]) for row in ask(sql)}
