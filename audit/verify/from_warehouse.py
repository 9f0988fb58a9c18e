"""What ClickHouse says, asked up to a position of each log partition."""

from decimal import Decimal

from clickhouse_connect.driver.client import Client

from audit.verify import row_checksums
from audit.verify.totals import Group, Sum, Totals
from warehouse.client import database

Bounds = dict[int, int]
"""For each partition of ``tally.events``, the last offset that is compared."""


def greatest(client: Client) -> Bounds:
    """How far the warehouse is filled, by any of the tables that the entries fill."""
    reached: Bounds = {}
    for table in ("records", "events", "entries"):
        for partition, offset in client.query(
            f"SELECT partition, max(offset) FROM {database(client)}.{table} GROUP BY partition"
        ).result_rows:
            reached[partition] = max(offset, reached.get(partition, -1))
    return reached


def totals(client: Client, bounds: Bounds) -> Totals:
    """The figures of the tables up to the bounds."""
    within = " OR ".join(f"(partition = {one} AND offset <= {end})" for one, end in bounds.items()) or "0"
    tables, found = database(client), Totals()
    for row in client.query(
        f"SELECT organization, kind, outcome, {row_checksums.EVENTS_SQL}, count() FROM {tables}.events WHERE {within}"
        " GROUP BY organization, kind, outcome"
    ).result_rows:
        found.outcome(*row)
    for row in client.query(
        f"SELECT organization, sum(received), sum(refused), {row_checksums.RECORDS_SQL}, count() FROM {tables}.records"
        f" WHERE {within} GROUP BY organization"
    ).result_rows:
        found.record(*row)
    for organization, day, model, name, currency, *figures in client.query(
        "SELECT organization, toString(toDate(time)) AS day, if(model_resolved = '', model, model_resolved) AS called,"
        f" class, currency, count(), {row_checksums.ENTRIES_SQL}, sum(quantity),"
        " sum(list_cost), sum(contracted_cost), sum(effective_cost), sum(billed_cost)"
        f" FROM {tables}.entries WHERE {within}"
        " GROUP BY organization, day, called, class, currency"
    ).result_rows:
        lines, all_said, quantity, *costs = figures
        group = Group(organization, day, model, name, currency)
        found.add(group, Sum(lines, all_said, quantity, *(Decimal(cost or 0) for cost in costs)))
    return found
