"""``tally period``: billing periods, which are months in UTC."""

from typing import Annotated, Any

import typer

from tally.output import make_table, out, print_json

app = typer.Typer(no_args_is_help=True, help="Billing periods: close a month, and print what was billed in it.")

Month = Annotated[str, typer.Argument(metavar="MONTH", help="Month in UTC, for example 2026-10.")]
Organization = Annotated[str | None, typer.Option(help="Organization (TALLY_ORGANIZATION).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(no_args_is_help=True)
def close(
    month: Month,
    reason: Annotated[str | None, typer.Option(help="Reason; stored on the log.")] = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Close a month of the organization, and all months before it, for ever.

    The sums of a closed month never change. Whatever changes its calls later (a late call, a correction, a restatement)
    is billed in the first open month.

    Example: tally period close 2026-10

    Exit codes: 0 closed; 2 the month has not ended or is closed already, or there is no log."""
    from ingest.controls.periods import close_period
    from tally.session import opened, settings

    config = settings(organization=organization)
    with opened(config) as log:
        partition, offset, _ = close_period(log, config, config.organization, month, reason)
    if as_json:
        print_json({"organization": config.organization, "month": month, "partition": partition, "offset": offset})
    else:
        out.print(
            f"Closed {month} and all months before it for {config.organization}. On the log at {partition}:{offset}.",
            markup=False,
        )


@app.command("list")
def list_(organization: Organization = None, as_json: AsJson = False) -> None:
    """List the closes of months of the organization, in their order.

    Example: tally period list

    Exit codes: 0 listed; 2 there is no log."""
    from ingest.controls.periods import find_closes
    from tally.session import opened, settings

    config = settings(organization=organization)
    with opened(config) as log:
        closes = list(find_closes(log, config.organization))
    if as_json:
        print_json([{"month": month, "closed_at": closed_at} for month, closed_at in closes])
        return
    table = make_table("Month", "Closed at")
    for month, closed_at in closes:
        table.add_row(month, closed_at)
    out.print(table if closes else f"No month of {config.organization} is closed.", markup=False)


@app.command(no_args_is_help=True)
def show(month: Month, organization: Organization = None, as_json: AsJson = False) -> None:
    """Print what was billed in a month, by team and currency, and the adjustments of earlier months apart.

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


def _print_rows(organization: str, month: str, rows: list[Any]) -> None:
    if not rows:
        out.print(f"Nothing of {organization} is billed in {month}.", markup=False)
        return
    table = make_table("Month of the calls", "Team", "Currency", ">Tokens", ">List cost", ">Billed cost", ">Unpriced")
    for row in rows:
        table.add_row(*row.cells())
    out.print(f"Billed in {month}, {organization}. A row of an earlier month is an adjustment.", markup=False)
    out.print(table)
