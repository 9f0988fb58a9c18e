"""``tally period``: billing periods, which are months in UTC."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tally.cli.options import AsJson, Organization
from tally.output import NO_CURRENCY, NO_TEAM, err, make_narrow_table, make_table, out, print_json, print_omitted

if TYPE_CHECKING:
    from rich.console import Console

    from tally.product.period_sums import OpenMonths, PeriodSum, Sums

app = typer.Typer(no_args_is_help=True, help="Billing periods: close a month, and print what was billed in it.")

Month = Annotated[str, typer.Argument(metavar="MONTH", help="Month in UTC, for example 2026-10.")]


@app.command(no_args_is_help=True)
def close(
    month: Month,
    reason: Annotated[str | None, typer.Option(help="Reason; stored on the log.")] = None,
    organization: Organization = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be closed; close nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Close a month of the organization, and all months before it, for ever; print their sums first, and ask.

    The sums of a closed month never change. Whatever changes its calls later (a late call, a correction, a restatement)
    is billed in the first open month.

    Example: tally period close 2026-10 --dry-run

    Exit codes: 0 closed, or a dry run; 1 not confirmed; 2 the month has not ended or is closed already, or there
    is no log."""
    from ingest.controls.periods import check_close, close_period
    from tally.product.catch_up import warehouse_with_models
    from tally.product.period_sums import read_open_months
    from tally.session import opened, settings
    from warehouse.client import connect

    config = settings(organization=organization)
    with opened(config) as log:
        last_closed = check_close(log, config.organization, month)
    with warehouse_with_models(config):
        months = read_open_months(connect(config), config.organization, last_closed, month)
    facts = {"organization": config.organization, "month": month, "dry_run": dry_run, **months.as_json()}
    if not as_json or not (yes or dry_run):
        _print_open_months(err if as_json else out, config.organization, month, last_closed, months)
    if dry_run:
        if as_json:
            print_json(facts)
        else:
            out.print("Nothing was closed.")
        return
    if not yes:
        question = f"Close {month} of {config.organization!r} and all months before it for ever?"
        typer.confirm(question, abort=True, err=True)
    with opened(config) as log:
        position = close_period(log, config, config.organization, month, reason)
    if as_json:
        print_json({**facts, "partition": position.partition, "offset": position.offset})
    else:
        out.print(
            f"Closed {month} and all months before it for {config.organization}. On the log at {position}.",
            markup=False,
        )


def _print_open_months(
    console: "Console", organization: str, month: str, last_closed: str, months: "OpenMonths"
) -> None:
    """Print what a close ends: the sums of the months that are open, and what would still change them."""
    closed_months = _render_months(last_closed, month)
    console.print(f"Open months of {organization} that this closes: {closed_months}.", markup=False)
    rows = [([name], currency, sums) for (name, currency), sums in months.sums.items()]
    if rows:
        _print_sums(console, ["Month"], rows)
    else:
        console.print("Nothing is billed in them.")
    if months.unpriced_calls:
        console.print(
            f"Warning: calls in them without a price, or without all of it: {months.unpriced_calls:,}. Once the "
            "months are closed, a price that is learned later is billed in the first open month."
        )
    if months.held_events:
        console.print(
            f"Warning: held events whose time lies in them: {months.held_events:,}. They are billed in the first open "
            "month if they are released after the close."
        )
    console.print("`tally price restate --dry-run` prints what the prices in force would change of past calls.")


def _render_months(previous_month: str, month: str) -> str:
    """Render the months that a close closes: those after the last closed one (empty where none is)."""
    if not previous_month:
        return f"{month} and all before"
    number = int(previous_month[:4]) * 12 + int(previous_month[5:])
    first = f"{number // 12:04}-{number % 12 + 1:02}"
    return month if first == month else f"{first} to {month}"


@app.command("list")
def list_(organization: Organization = None, as_json: AsJson = False) -> None:
    """List the closes of months of the organization, in their order, each with all months that it closed.

    Example: tally period list

    Exit codes: 0 listed; 2 there is no log."""
    from ingest.controls.periods import find_closes
    from tally.session import opened, settings

    config = settings(organization=organization)
    with opened(config) as log:
        closes = list(find_closes(log, config.organization))
    if as_json:
        print_json([close._asdict() for close in closes])
        return
    if not closes:
        out.print(f"No month of {config.organization} is closed.", markup=False)
        return
    has_actor, has_reason = any(close.actor for close in closes), any(close.reason for close in closes)
    table = make_table(
        "Months closed", "Closed at", *(["Closed by"] if has_actor else []), *(["Reason"] if has_reason else [])
    )
    for close in closes:
        texts = [*([close.actor] if has_actor else []), *([close.reason] if has_reason else [])]
        months = _render_months(close.previous_month, close.month)
        table.add_row(months, close.closed_at, *(escape(text or "") for text in texts))
    out.print(table)


@app.command(no_args_is_help=True)
def show(month: Month, organization: Organization = None, as_json: AsJson = False) -> None:
    """Print the costs that belong to a month, by team and currency, and the adjustments of earlier months apart.

    Of a closed month it prints the same for ever.

    Example: tally period show 2026-10 --json

    Exit codes: 0 printed; 2 bad input, or there is no log."""
    from ingest.controls.periods import check_month
    from tally.product.catch_up import warehouse_with_models
    from tally.product.period_sums import read_period
    from tally.session import settings
    from warehouse.client import connect

    check_month(month)
    config = settings(organization=organization)
    with warehouse_with_models(config):
        rows = read_period(connect(config), config.organization, month)
    if as_json:
        print_json({"organization": config.organization, "month": month, "rows": [row.as_json() for row in rows]})
        return
    _print_rows(config.organization, month, rows)


def _print_rows(organization: str, month: str, rows: "Sequence[PeriodSum]") -> None:
    if not rows:
        out.print(f"Nothing of {organization} is billed in {month}.", markup=False)
        return
    has_adjustment = any(row.month != month for row in rows)
    note = " A row of an earlier month is an adjustment." if has_adjustment else ""
    out.print(f"Billed in {month}, {organization}.{note}", markup=False)
    keyed_sums = [([row.month, row.team or NO_TEAM], row.currency, row.sums) for row in rows]
    _print_sums(out, ["Month of\nthe calls", "Team"], keyed_sums)


def _print_sums(console: "Console", keys: list[str], rows: "Sequence[tuple[list[str], str, Sums]]") -> None:
    """Print sums by their keys and currency, a total of each currency, and what commitments covered."""
    from tally.product.period_sums import sum_currencies

    visible_rows = [row for row in rows if any(row[2])]
    totals = sum_currencies((currency, sums) for _, currency, sums in visible_rows)
    currencies = ["Currency"] if len(totals) > 1 else []
    columns = {">Tokens": "tokens"}
    columns |= {f">{name.capitalize()}": f"{name}_cost" for name in ("list", "contracted", "effective", "billed")}
    unpriced = {">Unpriced\ntokens": "unpriced_tokens", ">Unpriced\nother units": "unpriced_units"}
    columns |= {title: name for title, name in unpriced.items() if any(getattr(row[2], name) for row in visible_rows)}
    table = make_narrow_table(*keys, *currencies, *columns)
    for names, currency, sums in visible_rows:
        figures = [_render_figure(getattr(sums, name)) for name in columns.values()]
        table.add_row(*(escape(name) for name in names), *[currency or NO_CURRENCY for _ in currencies], *figures)
    table.add_section()
    for currency, sums in totals.items():
        figures = [_render_figure(getattr(sums, name)) for name in columns.values()]
        blanks = [""] * (len(keys) + len(currencies) - 1)
        table.add_row(f"Total {currency or NO_CURRENCY}", *blanks, *figures)
    console.print(table)
    print_omitted(console, len(rows) - len(visible_rows))
    covered_costs = {currency: sums.covered_cost for currency, sums in totals.items() if sums.covered_cost}
    costs = [f"{_render_figure(cost)} {currency}" for currency, cost in covered_costs.items()]
    if costs:
        console.print(
            f"Commitments covered {' and '.join(costs)}: effective cost includes it, billed cost does not; the fee is "
            "on the provider's invoice."
        )


def _render_figure(figure: int | Decimal) -> str:
    """Render a quantity with separators, or a cost without the zeros at its end."""
    from ledger.money import brief

    return f"{figure:,}" if isinstance(figure, int) else brief(str(figure))
