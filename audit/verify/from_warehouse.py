"""Read the totals of ClickHouse's tables, up to a position of each log partition."""

from collections.abc import Mapping
from decimal import Decimal

from clickhouse_connect.driver.client import Client

from audit.verify import derived_rows, row_checksums
from audit.verify.totals import COSTS, PICO, Group, Totals
from warehouse.client import get_database

Bounds = dict[int, int]
"""The last offset that is compared, for each partition of ``tally.events``."""


def read_greatest_offsets(client: Client) -> Bounds:
    """Return the greatest offset of each partition in any table that ``tally.entries`` fills."""
    offsets: Bounds = {}
    for table in ("records", "events", "entries"):
        for partition, offset in client.query(
            f"SELECT partition, max(offset) FROM {get_database(client)}.{table} GROUP BY partition"
        ).result_rows:
            offsets[partition] = max(offset, offsets.get(partition, -1))
    return offsets


def read_totals(client: Client, bounds: Bounds, derived_bounds: Mapping[str, Bounds]) -> Totals:
    """Return the totals of the tables up to the bounds; those of decisions and alerts have bounds of their own."""
    condition, database, result = _build_condition(bounds), get_database(client), Totals()
    for row in client.query(
        f"SELECT organization, kind, outcome, reason, {row_checksums.EVENTS_SQL}, count() FROM {database}.events"
        f" WHERE {condition} GROUP BY organization, kind, outcome, reason"
    ).result_rows:
        result.add_outcome(*row)
    for row in client.query(
        f"SELECT organization, sum(received), sum(refused), {row_checksums.RECORDS_SQL}, count()"
        f" FROM {database}.records WHERE {condition} GROUP BY organization"
    ).result_rows:
        result.add_record(*row)
    sums = ", ".join(f"toString(sum(toDecimal256(ifNull({cost}, 0), 12)))" for cost in COSTS)
    for organization, day, model, name, currency, lines, checksum, quantity, *costs in client.query(
        "SELECT organization, toString(toDate(time)) AS day, if(model_resolved = '', model, model_resolved) AS called,"
        f" class, currency, count(), {row_checksums.ENTRIES_SQL}, sum(quantity), {sums}"
        f" FROM {database}.entries WHERE {condition}"
        " GROUP BY organization, day, called, class, currency"
    ).result_rows:
        group = Group(organization, day, model, name, currency)
        result.add_entry(group, checksum, quantity, [int(Decimal(cost) * PICO) for cost in costs], lines)
    for table, name in derived_rows.NAMES.items():
        for row in client.query(
            f"SELECT organization, {name} AS name, {derived_rows.build_sql(table)}, count() FROM {database}.{table}"
            f" WHERE {_build_condition(derived_bounds.get(table, bounds))} GROUP BY organization, name"
        ).result_rows:
            result.add_derived(table, *row)
    return result


def _build_condition(bounds: Bounds) -> str:
    return " OR ".join(f"(partition = {partition} AND offset <= {end})" for partition, end in bounds.items()) or "0"
