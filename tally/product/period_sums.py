"""Sums of a billing period, from the warehouse."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from ledger.money import COSTS

DECIMALS = 12
_SUMS = ", ".join(
    ["sum(tokens)", *(f"sum(coalesce({name}, 0))" for name in COSTS), "sum(unpriced_quantity)", "sum(unpriced_tokens)"]
)


class Sums(NamedTuple):
    """Quantities and costs in one currency. ``unpriced_quantity`` counts the tokens without a price, and the units of
    other classes (requests, seconds) too."""

    tokens: int = 0
    list_cost: Decimal = Decimal(0)
    contracted_cost: Decimal = Decimal(0)
    effective_cost: Decimal = Decimal(0)
    billed_cost: Decimal = Decimal(0)
    unpriced_quantity: int = 0
    unpriced_tokens: int = 0

    @property
    def unpriced_units(self) -> int:
        """Return the quantity without a price that is no token."""
        return self.unpriced_quantity - self.unpriced_tokens

    @property
    def covered_cost(self) -> Decimal:
        """Return the cost that is effective and not billed: commitments covered it."""
        return self.effective_cost - self.billed_cost

    def plus(self, addend: "Sums") -> "Sums":
        """Return the sum of two sums."""
        pairs: Iterable[tuple[Any, Any]] = zip(self, addend, strict=True)
        return Sums(*(figure + other for figure, other in pairs))

    def as_json(self) -> dict[str, Any]:
        """Return the sums with exact costs."""
        return {**self._asdict(), **{name: f"{getattr(self, name):.{DECIMALS}f}" for name in COSTS}}


class PeriodSum(NamedTuple):
    """What a team was billed in a month for calls of that month, or of an earlier one."""

    month: str
    team: str
    currency: str
    sums: Sums

    def as_json(self) -> dict[str, Any]:
        """Return the key and the sums with exact costs."""
        return {"month": self.month, "team": self.team, "currency": self.currency, **self.sums.as_json()}


class OpenMonths(NamedTuple):
    """What a close ends: the sums of each month by currency, the calls without a full price, and the events held."""

    sums: dict[tuple[str, str], Sums]
    unpriced_calls: int
    held_events: int

    def as_json(self) -> dict[str, Any]:
        """Return the facts with exact costs."""
        months = [
            {"month": month, "currency": currency, **sums.as_json()} for (month, currency), sums in self.sums.items()
        ]
        return {"months": months, "unpriced_calls": self.unpriced_calls, "held_events": self.held_events}


def read_period(client: Client, organization: str, month: str) -> list[PeriodSum]:
    """Read what was billed in a month: its own calls first, then the adjustments of earlier months."""
    rows = client.query(
        f"select formatDateTime(occurred_at, '%Y-%m', 'UTC') as month, team, currency, {_SUMS}"
        " from analytics.fct_entries where organization = {organization:String} and billing_month = {month:String}"
        " group by month, team, currency order by month desc, team, currency",
        parameters={"organization": organization, "month": month},
    ).result_rows
    return [PeriodSum(row[0], row[1], row[2], Sums(*row[3:])) for row in rows]


def read_open_months(client: Client, organization: str, last_closed: str, month: str) -> OpenMonths:
    """Read what is billed in the months after the last closed one (empty where none is), up to a month."""
    parameters = {"organization": organization, "last_closed": last_closed, "month": month}
    rows = client.query(
        f"select billing_month, currency, {_SUMS} from analytics.fct_entries"
        " where organization = {organization:String} and billing_month > {last_closed:String}"
        " and billing_month <= {month:String}"
        " group by billing_month, currency order by billing_month, currency",
        parameters=parameters,
    ).result_rows
    ((unpriced_calls,),) = client.query(
        "select sum(unpriced_calls + unknown_calls) from analytics.fct_daily_costs"
        " where organization = {organization:String} and formatDateTime(charge_day, '%Y-%m') > {last_closed:String}"
        " and formatDateTime(charge_day, '%Y-%m') <= {month:String}",
        parameters=parameters,
    ).result_rows
    ((held_events,),) = client.query(
        "select count() from analytics.fct_outcomes where organization = {organization:String} and outcome = 'held'"
        " and formatDateTime(occurred_at, '%Y-%m', 'UTC') > {last_closed:String}"
        " and formatDateTime(occurred_at, '%Y-%m', 'UTC') <= {month:String}",
        parameters=parameters,
    ).result_rows
    return OpenMonths({(row[0], row[1]): Sums(*row[2:]) for row in rows}, int(unpriced_calls or 0), held_events)


def sum_currencies(sums: Iterable[tuple[str, Sums]]) -> dict[str, Sums]:
    """Sum by currency."""
    totals: dict[str, Sums] = {}
    for currency, addend in sums:
        totals[currency] = totals.get(currency, Sums()).plus(addend)
    return dict(sorted(totals.items()))
