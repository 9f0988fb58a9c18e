"""Compare the rollup of call steps with the calls, and each call tree with itself.

Every call must stand in the rollup once, with its figures. A tree is right where each link is: a call is one step below
the call above it, in the same tree, and its subtree is its own measures and the subtrees of those below it. So no tree
is climbed, and trees are checked in parts that fit into memory.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

TABLE = "rollup_call_steps"
CALLS_PER_PART = 250_000
_PROPERTIES = ("call_key", "organization", "event_source", "event_id", "session", "root_call", "parent_call",
               "provider", "model", "team", "project", "feature", "agent", "customer", "environment", "payer", "status",
               "corrected_by", "usage_source", "pricing", "currency")  # fmt: skip
_COUNTS = ("calls", "tokens", "unknown_tokens", "unpriced_quantity")
_AMOUNTS = ("latency_ms", "period_s", "greatest_unpriced_cost", "saved_cost", "list_cost", "contracted_cost",
            "effective_cost", "billed_cost")  # fmt: skip
_MEASURES = ("calls", "tokens", "list_cost", "billed_cost")


class Check(NamedTuple):
    """A statement that selects a call that is wrong, and what is wrong with it."""

    state: str
    sql: str


def find_steps_difference(client: Client, schema: str) -> dict[str, Any] | None:
    """Return the first call whose row in the rollup is missing, double or has other figures, or whose tree is wrong."""
    key, state = _find_wrong_row(client, schema) or _find_wrong_link(client, schema) or ("", "")
    if not key:
        return None
    return {
        "what": f"the call {key} in {schema}.{TABLE}",
        "where": {"view": f"{schema}.{TABLE}", "call": key},
        "log": "the call once, in one tree, with its figures",
        "topic": "",
        "warehouse": state,
        "way_out": f"empty the rollup with `TRUNCATE TABLE {schema}.{TABLE}`; the sink builds it again",
    }


def _find_wrong_row(client: Client, schema: str) -> tuple[str, str] | None:
    days = client.query(
        f"{_write_absorbed(schema)} SELECT organization, toString(day) FROM ("
        f" SELECT organization, toDate(occurred_at) AS day, side, count() AS rows, sum(hash) AS hashes"
        f" FROM ({_select_rows(schema)}) GROUP BY organization, day, side"
        ") GROUP BY organization, day HAVING uniqExact(rows, hashes) != 1 OR count() != 2 ORDER BY ALL LIMIT 1"
    ).result_rows
    if not days:
        return None
    organization, day = days[0]
    rows = client.query(
        f"{_write_absorbed(schema)} SELECT call_key, countIf(side = 'calls') AS calls, countIf(side = 'steps') AS steps"
        f" FROM ({_select_rows(schema)}) WHERE organization = {{organization:String}}"
        " AND toDate(occurred_at) = {day:Date}"
        " GROUP BY call_key HAVING calls != 1 OR steps != 1 OR uniqExact(hash) != 1 ORDER BY call_key LIMIT 1",
        parameters={"organization": organization, "day": day},
    ).result_rows
    if not rows:  # it was built meanwhile
        return None
    call_key, calls, steps = rows[0]
    if calls == steps:
        return call_key, "other figures"
    return call_key, "missing" if steps < calls else f"{steps} rows for {calls}"


def _write_absorbed(schema: str) -> str:
    """Write what the rollup has absorbed: a map of offsets, and the calls that are amended beyond these."""
    return (
        "WITH (SELECT mapFromArrays(groupArray(log_partition), groupArray(reached)) FROM ("
        f"SELECT log_partition, max(next_offset) AS reached FROM {schema}.{TABLE} GROUP BY log_partition)) AS absorbed,"
        " amended AS (SELECT `partition`, assumeNotNull(original_offset), assumeNotNull(original_index)"
        " FROM tally.events WHERE outcome IN ('reversal', 'restatement') AND original_offset IS NOT NULL"
        " AND `offset` >= absorbed[`partition`])"
    )


def _select_rows(schema: str) -> str:
    """Select the absorbed calls and the rows of the rollup, each with its side and a hash of its figures."""
    texts = ", ".join(f"toString({name})" for name in _PROPERTIES)
    amounts = ", ".join(f"ifNull(toString({name}), '-')" for name in _AMOUNTS)
    columns = f"organization, occurred_at, call_key, sipHash64({texts}, {', '.join(_COUNTS)}, {amounts}) AS hash"
    unamended = "(log_partition, log_offset, event_index) NOT IN (SELECT * FROM amended)"
    return (
        f"SELECT 'calls' AS side, {columns} FROM {schema}.fct_calls"
        f" WHERE log_offset < absorbed[log_partition] AND {unamended}"
        f" UNION ALL SELECT 'steps' AS side, {columns} FROM {schema}.{TABLE} FINAL WHERE {unamended}"
    )


def _find_wrong_link(client: Client, schema: str) -> tuple[str, str] | None:
    ((count,),) = client.query(f"SELECT count() FROM {schema}.{TABLE}").result_rows
    part_count = count // CALLS_PER_PART + 1
    for part in range(part_count):
        for check in _list_checks(schema, part, part_count):
            rows = client.query(f"{check.sql} LIMIT 1").result_rows
            if rows:
                return rows[0][0], check.state
    return None


def _list_checks(schema: str, part: int, part_count: int) -> Iterator[Check]:
    def select(key: str) -> str:
        return f"(SELECT * FROM {schema}.{TABLE} FINAL WHERE cityHash64({key}) % {part_count} = {part})"

    sums = " OR ".join(f"sumIf(node_{name}, is_last) != sum({name})" for name in ("calls", "tokens", "billed_cost"))
    yield Check(
        "another last version, or other sums of all versions",
        f"SELECT min(call_key) FROM {select('organization, call_source, call_id')}"
        f" GROUP BY organization, call_source, call_id HAVING countIf(is_last) != 1 OR {sums}",
    )
    links = f"{select('component_key')} AS steps LEFT ANY JOIN {select('component_key')} AS above"
    links += " ON steps.above_key = above.call_key"
    yield Check(
        "a place that the call above it does not have",
        f"SELECT steps.call_key FROM {links} WHERE steps.is_last AND if(steps.above_key = '',"
        " steps.tree_key != steps.call_key OR steps.depth != 0,"
        " above.is_last = 0 OR above.tree_key != steps.tree_key OR above.depth + 1 != steps.depth)",
    )
    yield Check(
        "a call above it that it does not name",
        f"SELECT steps.call_key FROM {links} WHERE steps.is_last AND multiIf("
        "steps.linked_by = 'parent', above.call_id NOT IN (steps.parent_call, steps.parent_span),"
        " steps.linked_by = 'root', above.call_id != steps.root_call,"
        " steps.linked_by = 'trace', above.root_call != steps.root_call, steps.above_key != '')",
    )
    yield Check("no call above it, where it names one", _select_lost_calls(schema, select("organization, parent_call")))
    yield from _list_sum_checks(schema, part, part_count)


def _select_lost_calls(schema: str, steps: str) -> str:
    """Select calls that are linked by no parent, or by one of another source, and whose parent is known: of the same
    source in the latter case. A circle is cut at a call whose parent is known."""
    lost = f"(SELECT * FROM {steps} WHERE is_last AND parent_call != '' AND linked_by NOT IN ('parent', 'circle'))"
    return (
        f"SELECT lost.call_key FROM {lost} AS lost INNER JOIN (SELECT organization, call_id, call_key"
        f" FROM {schema}.{TABLE} FINAL WHERE is_last AND call_id IN (SELECT parent_call FROM {lost})) AS parents"
        " ON lost.organization = parents.organization AND lost.parent_call = parents.call_id"
        " WHERE lost.call_key != parents.call_key"
    )


def _list_sum_checks(schema: str, part: int, part_count: int) -> Iterator[Check]:
    steps = f"(SELECT * FROM {schema}.fct_call_steps WHERE cityHash64(tree_key) % {part_count} = {part})"
    below = ", ".join(f"sum(subtree_{name}) AS below_{name}" for name in _MEASURES)
    wrong = " OR ".join(
        f"ifNull(subtree_{name}, 0) != ifNull(steps.{name}, 0) + ifNull(below_{name}, 0)" for name in _MEASURES
    )
    yield Check(
        "other sums of what is below it",
        f"SELECT steps.call_key FROM {steps} AS steps LEFT ANY JOIN"
        f" (SELECT above_key, currency, {below} FROM {steps} WHERE above_key != '' GROUP BY above_key, currency)"
        " AS lower"
        f" ON steps.call_key = lower.above_key AND steps.currency = lower.currency WHERE {wrong}",
    )
    conditions = {"calls": "1", "tokens": "1", "list_cost": "1", "billed_cost": "1", "failed_cost": "is_failed",
                  "retry_cost": "is_retry", "fallback_cost": "is_fallback"}  # fmt: skip
    columns = {name: name if condition == "1" else "billed_cost" for name, condition in conditions.items()}
    sums = ", ".join(f"sumIf({columns[name]}, {condition}) AS sum_of_{name}" for name, condition in conditions.items())
    wrong = " OR ".join(f"ifNull(trees.{name}, 0) != ifNull(sum_of_{name}, 0)" for name in conditions)
    yield Check(
        "other sums of its tree",
        f"SELECT whole.tree_key FROM (SELECT tree_key, currency, count() AS steps, max(depth) AS depth, {sums}"
        f" FROM {steps} GROUP BY tree_key, currency) AS whole LEFT ANY JOIN (SELECT * FROM {schema}.int_call_trees"
        f" WHERE cityHash64(tree_key) % {part_count} = {part}) AS trees"
        " ON whole.tree_key = trees.tree_key AND whole.currency = trees.currency"
        f" WHERE trees.steps != whole.steps OR trees.depth != whole.depth OR {wrong}",
    )
