"""Runaways as tables: sessions that repeat a call, the agents they are of, and the calls of one run."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from dashboards.components.format import exact, money
from dashboards.components.html import Cell, Column, hinted, link, moment, table
from dashboards.periods import lasting
from dashboards.sources.warehouse import Row
from dashboards.spelling import spell

ENDED = {"another call": "called something else", "silent": "fell silent"}


def sessions(rows: Iterable[Row]) -> None:
    """Draw the alerts, each a link to its own view."""
    columns = [
        Column("Latest call, UTC"), Column("Agent"), Column("Team", "wide"), Column("Repeats", "wide"),
        Column("Times", "right"), Column("Cost so far", "right"), Column("Cost an hour", "right wide"),
        Column("For", "wide"), Column("State", "wide"),
    ]  # fmt: skip
    table(columns, (_session(row) for row in rows))


def _session(row: Row) -> tuple[Cell, ...]:
    return (
        link(moment(row["last_at"]), "runaways", {"alert": row["alert_id"]}, f"session {row['session']}"),
        row["agent"] or None,
        row["team"] or None,
        row["tool"],
        int(row["repeats"]),
        hinted(*sums(row["spent"])),
        hinted(*sums(pace)) if (pace := hourly(row)) else None,
        lasting(row["last_at"] - row["started_at"]),
        state(row),
    )


def agents(rows: Iterable[Row]) -> None:
    """Draw which agents run away; those of the overview are links to their spend."""
    columns = [
        Column("Agent"), Column("Team", "wide"), Column("Alerts", "right"), Column("Going on", "right"),
        Column("Calls", "right wide"), Column("Cost of their runs", "right"), Column("Latest, UTC", "wide"),
    ]  # fmt: skip
    table(columns, (_agent(row) for row in rows))


def _agent(row: Row) -> tuple[Cell, ...]:
    return (
        link(row["agent"], "./", {"period": "all", "agent": spell(row["agent"])}) if row["agent"] else None,
        row["team"] or None,
        int(row["alerts"]),
        int(row["going_on"]),
        int(row["calls"]),
        hinted(*sums(row["spent"])),
        moment(row["last_at"]),
    )


def calls(rows: Iterable[Row]) -> None:
    """Draw the calls of a run, each a link to its page."""
    columns = [
        Column("Time, UTC"), Column("Repeat", "right"), Column("Tool"), Column("Model", "wide"),
        Column("Status", "wide"), Column("Tokens", "right"), Column("List cost", "right"),
    ]  # fmt: skip
    times = 0
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        times += bool(row["is_repeat"])
        position = f"{row['log_partition']}-{row['log_offset']}-{row['event_index']}"
        cost, currency = row["list_cost"], row["currency"] or ""
        cells.append(
            (
                link(moment(row["occurred_at"]), "call", {"position": position}, position),
                times if row["is_repeat"] else None,
                row["tool"] or None,
                row["model"] or None,
                row["status"] or None,
                row["tokens"],
                None if row["pricing"] == "free" else hinted(money(cost, currency), exact(cost, currency)),
            )
        )
    table(columns, cells)


def state(row: Row) -> str:
    """When the last call of a run that goes on came in; or what ended it."""
    if row["is_open"]:
        return f"last came in {lasting(datetime.now(UTC) - row['last_accepted_at'])} ago"
    return ENDED[row["reason"]]


def sums(spent: Mapping[str, Decimal]) -> tuple[str, str]:
    """Costs, each currency by itself; shortened, and with all digits."""
    if not spent:
        return "unpriced", "no call of it has a price"
    each = [(amount, currency) for currency, amount in sorted(spent.items())]
    return " + ".join(money(*one) for one in each), " + ".join(exact(*one) for one in each)


def hourly(row: Row) -> Mapping[str, Decimal] | None:
    """What an hour costs at the run's own pace; None of a run too short to say."""
    seconds = (row["last_at"] - row["started_at"]) // timedelta(seconds=1)
    return {currency: amount * 3600 / seconds for currency, amount in row["spent"].items()} if seconds else None
