"""Budgets as tables: each with what it has used, how fast it goes and where that leads; and what was crossed."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from dashboards.components.format import exact, money, percent
from dashboards.components.html import Cell, Column, Html, bar, hinted, link, moment, spark, table
from dashboards.components.links import identity
from dashboards.pages.budgets.burn_rate import Burn, burn
from dashboards.periods import lasting, length
from dashboards.sources.warehouse import Row

NEAR = Decimal(80)
"""From this percent of the limit on, a budget is near it."""


def standing(rows: Iterable[Row], many: bool) -> None:
    """Draw the budgets, each a link to its own view."""
    columns = [
        Column("Budget of"), Column("Used of limit", "right"), Column("Used", "right wide"),
        Column("Remaining", "right"), Column("Limit", "right wide"), Column("Crossed", "right wide"),
        Column("Spend over the window", "wide"), Column("Burn an hour", "right wide"), Column("At this rate", "wide"),
    ]  # fmt: skip
    table(columns, (_standing(row, many) for row in rows))


def _standing(row: Row, many: bool) -> tuple[Cell, ...]:
    currency, used, limit = row["currency"], row["used_amount"], row["limit_amount"]
    burning = burning_of(row)
    highest = max(row["spend_by_bucket"])
    return (
        link(name(row, many), "budgets", identity(row).link()),
        share(row),
        hinted(money(used, currency), exact(used, currency)),
        hinted(money(row["remaining_amount"], currency), exact(row["remaining_amount"], currency)),
        hinted(money(limit, currency), exact(limit, currency)),
        fired(row),
        spark(row["spend_by_bucket"], f"at most {exact(highest, currency)} in {length(int(row['bucket_s']))}"),
        rate(row, burning),
        outlook(row, burning),
    )


def burning_of(row: Row) -> Burn | None:
    """How fast a budget is spent; None where nothing was spent yet."""
    if row["window_ends_at"] is None:
        return None
    return burn(
        row["spend_by_bucket"], row["limit_amount"], int(row["bucket_s"]), row["clock_at"], row["window_ends_at"]
    )


def name(row: Row, many: bool = False) -> str:
    """What people call a budget; with its organization where there are many."""
    whose = f"{row['organization']}: " if many and row["dimension"] != "organization" else ""
    return f"{whose}{row['dimension']} {row['scope_value']}, {length(int(row['window_s']))}"


def share(row: Row) -> Html:
    """How much of the limit is used."""
    used = percent(row["used_amount"], row["limit_amount"])
    return bar(used, "over" if used >= 100 else "near" if used >= NEAR else "")


def fired(row: Row) -> Html | None:
    """The greatest threshold that is crossed now."""
    if not row["fired_percent"]:
        return None
    return hinted(f"{row['fired_percent']}%", f"since {row['fired_at']:%Y-%m-%d %H:%M:%S} UTC, by the log's clock")


def rate(row: Row, burning: Burn | None) -> Html | None:
    """Spend an hour, lately."""
    if burning is None:
        return None
    lately = f"{exact(burning.per_hour, row['currency'])} over the last {lasting(timedelta(seconds=burning.seconds))}"
    return hinted(money(burning.per_hour, row["currency"]), lately)


def outlook(row: Row, burning: Burn | None) -> Html | str | None:
    """Where the rate leads: past the limit, to it, or to rest below it."""
    if burning is None:
        return None
    if row["remaining_amount"] <= 0:
        return "limit reached"
    if burning.reached is not None:
        wait = lasting(burning.reached - row["clock_at"])
        return hinted(f"limit in {wait}", f"reached {burning.reached:%Y-%m-%d %H:%M:%S} UTC, by the budget's clock")
    rests = percent(burning.rests, row["limit_amount"])
    return hinted(f"settles at {rests}%", f"a window of this rate holds {exact(burning.rests, row['currency'])}")


def crossings(rows: Iterable[Row], many: bool, of_one: bool) -> None:
    """Draw thresholds that were crossed, each a link to the call that crossed it."""
    columns = [
        Column("In the window to, UTC"), *([] if of_one else [Column("Budget of")]), Column("Crossed", "right"),
        Column("At", "right wide"), Column("Limit then", "right wide"), Column("Armed again, UTC", "wide"),
    ]  # fmt: skip
    table(columns, (_crossing(row, many, of_one) for row in rows))


def _crossing(row: Row, many: bool, of_one: bool) -> tuple[Cell, ...]:
    cause = {"source": row["event_source"], "id": row["event_id"], "organization": row["organization"]}
    decided = f"decided {row['crossed_at']:%Y-%m-%d %H:%M:%S} UTC; {row['event_source']} {row['event_id']}"
    budget = link(name(row, many), "budgets", identity(row).link())
    return (
        link(moment(row["window_ends_at"]), "call", cause, decided),
        *([] if of_one else [budget]),
        f"{row['threshold_percent']}%",
        hinted(money(row["used_amount"], row["currency"]), exact(row["used_amount"], row["currency"])),
        money(row["limit_amount"], row["currency"]),
        _armed(row),
    )


def _armed(row: Row) -> Html | None:
    when: datetime | None = row["rearmed_window_ends_at"]
    return moment(when) if when else None
