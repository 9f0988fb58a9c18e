"""Compare the rollup of budget ticks with the entries and events that it has absorbed, dimension by dimension.

A row of the rollup holds what budgets count of one scope, currency and tick (docs/rules.md, R13): the sums, and the
positions and times by which a budget tells which rows it counts. All of them are derived here anew.
"""

from typing import Any, get_args

from clickhouse_connect.driver.client import Client

from tallystick.vocabulary.inference import QuantityClass

TABLE = "rollup_budget_ticks"
DIMENSIONS = ("organization", "team", "project", "feature", "environment", "customer", "key", "agent")
TICK_US = 86_400_000_000 // 60
_FIGURES = {
    "spend": "sum", "greatest_amount": "sum", "unknown_calls": "sum", "unknown_tokens": "sum", "unbounded_calls": "sum",
    "last_spent_us": "max", "first_offset": "min", "last_offset": "max",
}  # fmt: skip
"""The figures of a row, with what makes one of several."""
_AMENDMENTS = "('reversal', 'restatement')"
_CALLS = "if(outcome = 'reversal', -1, 1) * greatest(toInt64(ifNull(calls, 1)), 1)"
_ENTRIES = f"""
SELECT *, ifNull(billed_cost, 0)::Decimal(38, 12) AS spend, 0::Decimal(38, 12) AS greatest_amount,
    0::Int64 AS unknown_calls,
    if(payer != 'customer' AND contracted_cost IS NULL AND class NOT IN {get_args(QuantityClass)}, quantity, 0)
        AS unknown_tokens,
    0::Int64 AS unbounded_calls
FROM tally.entries WHERE spend != 0 OR unknown_tokens != 0
"""
_EVENTS = f"""
SELECT * EXCEPT (calls, unknown_tokens), 0::Decimal(38, 12) AS spend,
    ifNull(greatest_unpriced_cost, 0)::Decimal(38, 12) AS greatest_amount, {_CALLS} AS unknown_calls,
    ifNull(events.unknown_tokens, 0)::Int64 AS unknown_tokens,
    if(greatest_unpriced_cost IS NULL, unknown_calls, 0) AS unbounded_calls
FROM tally.events AS events
WHERE kind = 'inference' AND payer != 'customer' AND pricing IN ('unknown', 'unpriced', 'partially_priced')
    AND (
        outcome IN ('counted', 'replacement', 'release')
        OR (outcome = 'quarantined' AND reason = 'token_totals_mismatch' AND time <= accepted_at + INTERVAL 5 MINUTE)
        OR (
            outcome IN {_AMENDMENTS}
            AND (`partition`, ifNull(original_offset, `offset`), ifNull(original_index, event_index)) NOT IN (
                SELECT `partition`, `offset`, event_index FROM tally.events
                WHERE kind = 'inference' AND outcome = 'quarantined' AND time > accepted_at + INTERVAL 5 MINUTE
            )
        )
    )
"""


def find_ticks_difference(client: Client, schema: str) -> dict[str, Any] | None:
    """Return the first dimension and organization whose rows in the rollup are not those of the ledger."""
    for dimension in DIMENSIONS:
        rows = client.query(_write_comparison(schema, dimension)).result_rows
        if rows:
            return _describe(schema, dimension, *rows[0])
    return None


def _write_comparison(schema: str, dimension: str) -> str:
    """Write the statement that selects, by organization, the spend of both sides where their rows differ. It reads both
    as of one moment."""
    sides = f"SELECT 'ledger' AS side, * FROM ({_select_ledger(dimension)})"
    sides += f" UNION ALL SELECT 'rollup', * FROM ({_select_rollup(schema, dimension)})"
    absorbed = f"SELECT log_partition, max(next_offset) AS reached FROM {schema}.{TABLE} GROUP BY log_partition"
    figures = ", ".join(_FIGURES)
    return (
        f"WITH (SELECT mapFromArrays(groupArray(log_partition), groupArray(reached)) FROM ({absorbed})) AS absorbed"
        f" SELECT organization, toString(sumIf(spend, side = 'ledger')), toString(sumIf(spend, side = 'rollup'))"
        f" FROM ({sides}) GROUP BY organization"
        f" HAVING groupBitXor(cityHash64(log_partition, scope, tick, currency, {figures})) != 0"
        " OR countIf(side = 'ledger') != countIf(side = 'rollup') ORDER BY organization LIMIT 1"
    )


def _select_rollup(schema: str, dimension: str) -> str:
    sums = ", ".join(f"{function}(ticks.{name}) AS {name}" for name, function in _FIGURES.items())
    return (
        "SELECT organization::String AS organization, log_partition, scope_value AS scope, tick,"
        f" currency::String AS currency, {sums} FROM {schema}.{TABLE} AS ticks WHERE dimension = '{dimension}'"
        " GROUP BY organization, log_partition, scope, tick, currency"
    )


def _select_ledger(dimension: str) -> str:
    columns = {"last_spent_us": "time_us", "first_offset": "call_offset", "last_offset": "call_offset"}
    sums = ", ".join(f"{function}(counted.{columns.get(name, name)}) AS {name}" for name, function in _FIGURES.items())
    rows = " UNION ALL ".join(
        f"SELECT organization::String AS organization, `partition` AS log_partition, `{dimension}`::String AS scope,"
        f" currency::String AS currency, toUnixTimestamp64Micro(time) AS time_us,"
        f" if(outcome IN {_AMENDMENTS}, ifNull(original_offset, `offset`), `offset`) AS call_offset,"
        f" spend, greatest_amount, unknown_calls, unknown_tokens, unbounded_calls"
        f" FROM ({table}) WHERE `offset` < absorbed[`partition`]"
        for table in (_ENTRIES, _EVENTS)
    )
    return (
        f"SELECT organization, log_partition, scope, intDiv(time_us, {TICK_US}) AS tick, currency, {sums}"
        f" FROM ({rows}) AS counted WHERE scope != '' GROUP BY organization, log_partition, scope, tick, currency"
    )


def _describe(schema: str, dimension: str, organization: str, ledger_spend: str, rollup_spend: str) -> dict[str, Any]:
    return {
        "what": f"the spend by {dimension} in {schema}.{TABLE}",
        "where": {"view": f"{schema}.{TABLE}", "organization": organization, "dimension": dimension},
        "log": ledger_spend,
        "topic": "",
        "warehouse": f"{rollup_spend}, or other rows that add up to it",
        "way_out": f"empty the rollup with `TRUNCATE TABLE {schema}.{TABLE}`; the sink builds it again",
    }
