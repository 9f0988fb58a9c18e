"""The registry as of two times, and what is attributed through it, from the warehouse."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

DECIMALS = 12
_COLUMNS = {
    "scopes": ("dimension", "scope_value", "parent", "owner", "sponsor", "on_call", "cost_center", "head_count"),
    "assignments": ("dimension", "scope_value", "team"),
    "agreements": ("agreement", "provider", "regions", "data_classes"),
    "exchange_rates": ("base_currency", "quote_currency", "rate"),
}
"""The columns of each ``dim_…`` that an answer has, the keys first."""
_TIMES = ("valid_from", "valid_to")
OWNED_COLUMNS = (
    ("key_fingerprint", "key"), ("agent", "agent"), ("event_source", "service"), ("feature", "feature"),
    ("project", "project"), ("provider_account", "provider_account"),
)  # fmt: skip
"""What a call may be owned by, in the order of R17: its column and the dimension of the assignment. The list of
``dbt/macros/owners.sql``."""
_KNOWN = "known_from <= {known:DateTime64(6, 'UTC')} and (known_to is null or known_to > {known:DateTime64(6, 'UTC')})"
Answer = dict[str, list[dict[str, Any]]]


class Spend(NamedTuple):
    """What a team spent; the team is empty where nobody owns it."""

    team: str
    currency: str
    calls: int
    tokens: int
    billed_cost: Decimal

    def as_json(self) -> dict[str, Any]:
        """Return the spend with its exact cost."""
        return {**self._asdict(), "billed_cost": format_cost(self.billed_cost)}


class Unowned(NamedTuple):
    """What nobody owns of one section of the file, by name, with its amount."""

    section: str
    name: str
    currency: str
    calls: int
    billed_cost: Decimal

    def as_json(self) -> dict[str, Any]:
        """Return it with its exact cost."""
        return {**self._asdict(), "billed_cost": format_cost(self.billed_cost)}


def format_cost(cost: Decimal) -> str:
    """Write a cost exactly."""
    return f"{cost:.{DECIMALS}f}"


def read_as_of(client: Client, organization: str, moment: datetime, known: datetime | None) -> Answer:
    """Read the registry as it was at a moment, as it was known at another; None is now."""
    condition = "known_to_offset is null" if known is None else _KNOWN
    answer: Answer = {}
    for table, columns in _COLUMNS.items():
        rows = client.query(
            f"select {', '.join((*columns, *_TIMES))} from analytics.dim_{table}"
            " where organization = {organization:String} and valid_from <= {moment:DateTime64(6, 'UTC')}"
            " and (valid_to is null or valid_to > {moment:DateTime64(6, 'UTC')})"
            f" and {condition} order by {', '.join(columns[:2])}",
            parameters={"organization": organization, "moment": moment, "known": known or moment}, tz_mode="aware",
        ).result_rows  # fmt: skip
        answer[table] = [dict(zip((*columns, *_TIMES), row, strict=True)) for row in rows]
    return answer


def read_spend(client: Client, organization: str, month: str, known: datetime | None = None) -> list[Spend]:
    """Read what each team spent in a month, as it was known at a time; None is now. Each call has the owner of its own
    time.

    Known then is what the log had accepted by then: calls, what takes them back or restates them, and the registry.
    """
    usage = "analytics.fct_attributed_usage" if known is None else f"({_build_usage_known()})"
    rows = client.query(
        f"select owner_team, currency, sum(calls), sum(tokens), sum(coalesce(billed_cost, 0)) as cost from {usage}"
        " where organization = {organization:String} and formatDateTime(occurred_at, '%Y-%m', 'UTC') = {month:String}"
        " group by owner_team, currency order by cost desc, owner_team, currency",
        parameters={"organization": organization, "month": month, "known": known},
    ).result_rows
    return [Spend(*row) for row in rows]


def _build_usage_known() -> str:
    """Build a query of usage with its owner, both as they were known at a time.

    The view ``fct_attributed_usage`` knows the present registry alone, so the joins of ``dbt/macros/owners.sql`` stand
    here once more, over the intervals that were known then.
    """
    joins, owners = "", ["team != '', toString(team)"]
    for column, dimension in OWNED_COLUMNS:
        joins += (
            f" asof left join (select organization as {dimension}_organization, scope_value as {dimension}_value,"
            f" team as {dimension}_team, valid_from as {dimension}_from, valid_to as {dimension}_to from"
            f" analytics.dim_assignments where dimension = '{dimension}' and {_KNOWN}) as {dimension}_owners"
            f" on organization = {dimension}_organization and {column} = {dimension}_value"
            f" and occurred_at >= {dimension}_from"
        )
        owners.append(f"{dimension}_team != '' and coalesce(occurred_at < {dimension}_to, true), {dimension}_team")
    return (
        f"select organization, occurred_at, multiIf({', '.join(owners)}, '') as owner_team, currency, calls, tokens,"
        " billed_cost from (select * from analytics.fct_attributed_usage where accepted_at <="
        " {known:DateTime64(6, 'UTC')}) as usage" + joins
    )


def read_unowned(client: Client, organization: str) -> list[Unowned]:
    """Read what nobody owns, the greatest amount first: by what a team would own of it (key, else agent, else source),
    then by model."""
    owned = (
        "multiIf(key_fingerprint != '', ('keys', toString(key_fingerprint)), agent != '', ('agents', toString(agent)),"
        " ('services', toString(event_source)))"
    )
    unowned: list[Unowned] = []
    for place in (owned, "('models', model)"):
        rows = client.query(
            f"select {place} as place, currency, sum(calls), sum(coalesce(billed_cost, 0)) as cost"
            " from analytics.fct_attributed_usage"
            " where organization = {organization:String} and attributed_by = 'unowned'"
            " group by place, currency having sum(calls) != 0 or cost != 0 order by cost desc, place, currency",
            parameters={"organization": organization},
        ).result_rows
        unowned += [Unowned(place[0], place[1], currency, calls, cost) for place, currency, calls, cost in rows]
    return unowned
