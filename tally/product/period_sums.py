"""Sums of a billing period, from the warehouse."""

from decimal import Decimal
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

DECIMALS = 12


class PeriodSum(NamedTuple):
    """What a team was billed in a month for calls of that month, or of an earlier one."""

    month: str
    team: str
    currency: str
    tokens: int
    list_cost: Decimal
    billed_cost: Decimal
    unpriced_quantity: int

    def as_json(self) -> dict[str, Any]:
        """Return the sums with exact costs."""
        costs = {name: f"{getattr(self, name):.{DECIMALS}f}" for name in ("list_cost", "billed_cost")}
        return {**self._asdict(), **costs}

    def cells(self) -> tuple[str, ...]:
        """Return the cells of a table's row."""
        figures = (f"{self.tokens:,}", f"{self.list_cost:.{DECIMALS}f}", f"{self.billed_cost:.{DECIMALS}f}")
        return (self.month, self.team, self.currency, *figures, f"{self.unpriced_quantity:,}")


def read_period(client: Client, organization: str, month: str) -> list[PeriodSum]:
    """Read what was billed in a month: its own calls first, then the adjustments of earlier months."""
    rows = client.query(
        "select formatDateTime(occurred_at, '%Y-%m', 'UTC') as month, team, currency, sum(tokens),"
        " sum(coalesce(list_cost, 0)), sum(coalesce(billed_cost, 0)), sum(unpriced_quantity)"
        " from analytics.fct_entries where organization = {organization:String} and billing_month = {month:String}"
        " group by month, team, currency order by month desc, team, currency",
        parameters={"organization": organization, "month": month},
    ).result_rows
    return [PeriodSum(*row) for row in rows]
