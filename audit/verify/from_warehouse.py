"""Read the totals of ClickHouse's tables, up to a position of each log partition."""

from decimal import Decimal

from clickhouse_connect.driver.client import Client

from audit.verify import row_checksums
from audit.verify.totals import Group, Sum, Totals
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


def read_totals(client: Client, bounds: Bounds) -> Totals:
    """Return the totals of the tables up to the bounds."""
    condition = (
        " OR ".join(f"(partition = {partition} AND offset <= {end})" for partition, end in bounds.items()) or "0"
    )
    database, result = get_database(client), Totals()
    for row in client.query(
        f"SELECT organization, kind, outcome, reason, {row_checksums.EVENTS_SQL}, count() FROM {database}.events"
        f" WHERE {condition} GROUP BY organization, kind, outcome, reason"
    ).result_rows:
        result.outcome(*row)
    for row in client.query(
        f"SELECT organization, sum(received), sum(refused), {row_checksums.RECORDS_SQL}, count()"
        f" FROM {database}.records WHERE {condition} GROUP BY organization"
    ).result_rows:
        result.record(*row)
    for organization, day, model, name, currency, *figures in client.query(
        "SELECT organization, toString(toDate(time)) AS day, if(model_resolved = '', model, model_resolved) AS called,"
        f" class, currency, count(), {row_checksums.ENTRIES_SQL}, sum(quantity),"
        " sum(list_cost), sum(contracted_cost), sum(effective_cost), sum(billed_cost)"
        f" FROM {database}.entries WHERE {condition}"
        " GROUP BY organization, day, called, class, currency"
    ).result_rows:
        lines, checksum, quantity, *costs = figures
        group = Group(organization, day, model, name, currency)
        result.add(group, Sum(lines, checksum, quantity, *(Decimal(cost or 0) for cost in costs)))
    return result
