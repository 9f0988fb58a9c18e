"""Compare the models in the warehouse with those of this release: views by their definitions, and tables by their sums.

A view shows what its tables hold, which are compared row by row; so a view with the right definition is right. Tables
that models fill (rollups) are compared through the marts that read them, with the sums of ``fct_usage``.
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from audit import budget_ticks, call_steps
from audit.verify.totals import COSTS

TRIES, RETRY_DELAY_S = 3, 0.5
"""A build of a rollup may end while a mart is read."""
STAMP = "tally_built"
"""The view that stands where models were built, also where somebody dropped all of them."""
COMPARED_TABLES = ("entries", "events", "records", "decisions", "alerts")
_TABLE = re.compile(r"`(\w+)`\.`(\w+)`")
"""A table as dbt writes it."""
_CALL = re.compile(r"\b\w+(?=\()")
"""The name of a function that is called."""
USAGE_MART = "fct_usage"
"""The mart of usage that reads no rollup."""
ROLLED_MARTS = {
    "fct_usage_hourly": ("charge_hour", "rollup_usage_hours"),
    "fct_calls": ("occurred_at", "rollup_calls"),
}
"""The marts that read a rollup: the time of a row, and the rollup. Their sums are those of ``fct_usage``."""
MEASURES = ("calls", "tokens", *COSTS)
Sums = dict[str, tuple[str, ...]]
"""A hash of the sums of a mart and the sums, by organization."""


class Models(NamedTuple):
    """The models of this release: the SQL of each view by its name, and the names of the others."""

    schema: str
    views: Mapping[str, str]
    tables: tuple[str, ...]


def find_model_difference(client: Client, models: Models) -> tuple[int | None, dict[str, Any] | None]:
    """Return the number of views that were compared, and the first difference; twice None where no model is built."""
    deployed = {
        name: (engine, definition)
        for name, engine, definition in client.query(
            "SELECT name, engine, as_select FROM system.tables WHERE database = {schema:String}",
            parameters={"schema": models.schema},
        ).result_rows
    }
    function_names = _read_function_names(client)
    names = [*models.views, *models.tables]
    if not any(name in deployed for name in (*names, STAMP)):
        return None, None
    for name in sorted(names):
        if name not in deployed:
            return len(models.views), _describe(models, name, "missing")
        engine, definition = deployed[name]
        if name not in models.views:
            if engine == "View":
                return len(models.views), _describe(models, name, "a view in the place of a table")
        elif engine != "View":
            return len(models.views), _describe(models, name, f"a table ({engine}) in the place of a view")
        elif not _is_same(client, models.views[name], definition, function_names):
            return len(models.views), _describe(models, name, "another definition")
    if not has_rollups(models):
        return len(models.views), None
    difference = _find_sum_difference(client, models)
    if difference is None and call_steps.TABLE in models.tables:
        difference = call_steps.find_steps_difference(client, models.schema)
    if difference is None and budget_ticks.TABLE in models.tables:
        difference = budget_ticks.find_ticks_difference(client, models.schema)
    return len(models.views), difference


def has_rollups(models: Models) -> bool:
    """Tell whether models fill tables, or views read a table that is not compared row by row."""
    names = {name for sql in models.views.values() for name in _TABLE.findall(sql)}
    compared = {(models.schema, view) for view in models.views}
    return bool(models.tables) or any(name not in compared and name[1] not in COMPARED_TABLES for name in names)


def _read_function_names(client: Client) -> dict[str, str]:
    """Read the name that ClickHouse stores for each other spelling of a function: ``any`` for ``first_value``."""
    rows: Sequence[Sequence[str]] = client.query(
        "SELECT lower(name), if(alias_to = '', name, alias_to) FROM system.functions"
        " WHERE alias_to != '' OR case_insensitive"
    ).result_rows
    return {row[0]: row[1] for row in rows}


def _is_same(client: Client, expected: str, deployed: str, function_names: Mapping[str, str]) -> bool:
    """Compare two statements as ClickHouse writes them: without comments, in one form, with a function's own name."""
    row = client.query(
        "SELECT formatQuery({expected:String}), formatQuery({deployed:String})",
        parameters={"expected": expected, "deployed": deployed},
    ).result_rows[0]
    first, second = (_CALL.sub(lambda match: function_names.get(match[0].lower(), match[0]), text) for text in row)
    return bool(first == second)


def _describe(models: Models, name: str, state: str) -> dict[str, Any]:
    return {
        "what": f"the model {models.schema}.{name}",
        "where": {"view": f"{models.schema}.{name}"},
        "log": "as this release defines it",
        "topic": "",
        "warehouse": state,
        "way_out": "build the models again with `tally warehouse models`, and look who may write to the warehouse",
    }


def _find_sum_difference(client: Client, models: Models) -> dict[str, Any] | None:
    for mart, (time_column, rollup) in ROLLED_MARTS.items():
        for attempt in range(TRIES):
            time.sleep(RETRY_DELAY_S if attempt else 0)
            expected, figures = _sum_measures(client, models.schema, mart, time_column)
            if expected == figures:
                break
        else:
            organization = min(key for key in {*expected, *figures} if expected.get(key) != figures.get(key))
            difference = _describe(models, mart, ", ".join(figures.get(organization, ("nothing",))))
            return difference | {
                "what": f"the sums of {models.schema}.{mart} (a hash; {', '.join(MEASURES)})",
                "where": {"view": f"{models.schema}.{mart}", "organization": organization},
                "log": ", ".join(expected.get(organization, ("nothing",))),
                "way_out": f"empty the rollup with `TRUNCATE TABLE {models.schema}.{rollup}`; the sink builds it again",
            }
    return None


def _sum_measures(client: Client, schema: str, mart: str, time_column: str) -> tuple[Sums, Sums]:
    """Return the sums of ``fct_usage`` and those of a mart.

    They are read by one statement: ClickHouse then reads each table as it was at one moment, whatever the sink adds.
    """
    rows = client.query(
        f"SELECT * FROM ({_select_sums(schema, USAGE_MART, 'occurred_at')})"
        f" UNION ALL SELECT * FROM ({_select_sums(schema, mart, time_column)})"
    ).result_rows
    sums: dict[str, Sums] = {USAGE_MART: {}, mart: {}}
    for name, organization, *figures in rows:
        sums[name][organization] = tuple(figures)
    return sums[USAGE_MART], sums[mart]


def _select_sums(schema: str, mart: str, time_column: str) -> str:
    """Write the statement that selects, by organization, a hash of the sums by day, provider, model and team, and the
    sums with all digits."""
    groups = f"organization, toDate({time_column}) AS day, provider, model, team"
    sums = [f"sum(toDecimal256(ifNull({name}, 0), 12)) AS sum_of_{name}" for name in MEASURES]
    names = [f"sum_of_{name}" for name in MEASURES]
    return (
        f"SELECT '{mart}', organization,"
        f" toString(groupBitXor(cityHash64(day, provider, model, team, {', '.join(names)}))),"
        f" {', '.join(f'toString(sum({name}))' for name in names)}"
        f" FROM (SELECT {groups}, {', '.join(sums)} FROM {schema}.{mart}"
        " GROUP BY organization, day, provider, model, team)"
        f" WHERE {' OR '.join(f'{name} != 0' for name in names)} GROUP BY organization"
    )
