"""``tally budget``: budgets, as control records on the log."""

from typing import Annotated, get_args

import typer

from tally.cli.options import AsJson, Organization
from tally.output import out, print_json

app = typer.Typer(no_args_is_help=True, help="Budgets: limits of spend over a rolling window.")


@app.callback()
def group() -> None:
    pass


@app.command("set", no_args_is_help=True)
def set_(
    scope: Annotated[str, typer.Option(help="Scope: DIMENSION=NAME, for example team=search.")],
    limit: Annotated[str, typer.Option(help="Maximum spend within the window.")],
    window: Annotated[str, typer.Option(help="Rolling window: 5m, 1h, 7d; whole minutes, at most 31 days.")],
    reason: Annotated[str, typer.Option(help="Reason; stored on the log.")],
    currency: Annotated[str, typer.Option(help="Currency of the limit.")] = "USD",
    unknown_usage: Annotated[
        str | None,
        typer.Option(help="Calls of unknown cost: tokens_only (the default), assume_greatest or deny."),
    ] = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Set the limit of spend for a scope over a rolling window. Setting the same scope and window again changes it.

    Crossing 50, 80 or 100 % of the limit is recorded on the topic tally.decisions. --unknown-usage says what calls are
    worth whose cost is not known: nothing, and they are counted beside the spend (tokens_only); the most that they may
    cost (assume_greatest); or a decision and an alert as soon as one lies in the window (deny).

    Example: tally budget set --scope team=search --limit 100 --window 1h --reason "launch week"

    A warning says where no price in force is in the limit's currency: amounts of currencies never mix.

    Exit codes: 0 set, 2 bad input, or the budget is in another currency."""
    from ingest.controls.budgets import set_budget
    from tally.cli.arguments import parse_amount, parse_choice, parse_window_s
    from tally.output import err
    from tally.product.budgets.usage import find_warning
    from tally.session import opened, settings
    from tallystick.vocabulary.controls.budgets import DEFAULT_UNKNOWN_USAGE, UnknownUsage

    config = settings(organization=organization)
    dimension, name = _parse_scope(scope)
    if unknown_usage is not None:
        parse_choice(unknown_usage, get_args(UnknownUsage), "--unknown-usage")
    limit_amount, window_s = parse_amount(limit, "--limit"), parse_window_s(window, "--window")
    with opened(config, new=True) as log:
        position = set_budget(
            log, config, config.organization, dimension, name, limit_amount, currency, window_s, reason, unknown_usage
        )
        warning = find_warning(log, config.organization, currency)
    facts = {"dimension": dimension, "scope": name, "limit": limit_amount, "currency": currency, "window_s": window_s}
    facts["unknown_usage"] = unknown_usage or DEFAULT_UNKNOWN_USAGE
    if as_json:
        print_json(
            facts
            | {"organization": config.organization, "partition": position.partition, "offset": position.offset}
            | {"warning": warning}
        )
    else:
        out.print(
            f"Set a budget in organization {config.organization}: {dimension} {name}, {limit_amount} {currency} in "
            f"{window}. On the log at {position}.",
            markup=False,
        )
        if warning:
            err.print(f"Warning: {warning}", markup=False)


@app.command("list")
def list_(
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """List the budgets of an organization: limit, what the present window has used, and the threshold it is above.

    The window ends with the log's time, which the answer names. It folds the log of the organization's partition again,
    so it takes longer for a long log.

    Example: tally budget list

    Exit codes: 0 listed, also where there are none; 2 no log."""
    from rich.markup import escape

    from ledger.money import brief
    from tally.output import err, make_table, progress_bar
    from tally.product.budgets.usage import read_budgets
    from tally.session import opened, settings

    config = settings(organization=organization)
    with opened(config) as log, progress_bar() as bar:
        task = bar.add_task("folding", total=None)
        uses = read_budgets(log, config.organization, lambda count: bar.advance(task, count))
    if as_json:
        print_json([{"organization": config.organization} | use.as_json() for use in uses])
        return
    if not uses:
        out.print(f"No budgets in organization {config.organization}. Set one with `tally budget set`.", markup=False)
        return
    table = make_table("budget", "window", ">limit", ">used", ">used %", ">threshold", ">unknown calls")
    for use in uses:
        name = f"{use.allocation.dimension} {use.allocation.scope}"
        limit, used = (f"{brief(amount)} {use.allocation.currency}" for amount in (use.allocation.limit, use.used))
        threshold = f"{use.threshold} %" if use.threshold else "-"
        figures = (limit, used, str(use.used_percent), threshold, str(use.unknown_calls))
        table.add_row(escape(name), _format_window(use.allocation.window_s), *figures)
    out.print(table)
    out.print(f"As of {uses[0].as_of:%Y-%m-%d %H:%M:%S} UTC, the log's time.", markup=False)
    for use in uses:
        if use.warning:
            err.print(f"Warning: {use.allocation.dimension} {use.allocation.scope}: {use.warning}", markup=False)


@app.command(no_args_is_help=True)
def remove(
    scope: Annotated[str, typer.Option(help="Scope: DIMENSION=NAME, for example team=search.")],
    window: Annotated[str, typer.Option(help="Rolling window of the budget: 5m, 1h, 7d.")],
    reason: Annotated[str | None, typer.Option(help="Reason; stored on the log.")] = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Remove a budget: later spend of the scope crosses no threshold of it. Set again, it begins anew.

    Example: tally budget remove --scope team=search --window 1h --reason "launch is over"

    Exit codes: 0 removed, 2 there is no such budget."""
    from ingest.controls.budgets import remove_budget
    from tally.cli.arguments import parse_window_s
    from tally.session import opened, settings

    config = settings(organization=organization)
    dimension, name = _parse_scope(scope)
    window_s = parse_window_s(window, "--window")
    with opened(config) as log:
        position = remove_budget(log, config, config.organization, dimension, name, window_s, reason)
    if as_json:
        facts = {"organization": config.organization, "dimension": dimension, "scope": name, "window_s": window_s}
        print_json(facts | {"partition": position.partition, "offset": position.offset})
    else:
        out.print(
            f"Removed the budget of {dimension} {name} over {window} in organization {config.organization}. On the log "
            f"at {position}.",
            markup=False,
        )


def _parse_scope(text: str) -> tuple[str, str]:
    from ledger.dimensions import BUDGET_DIMENSIONS
    from tally.cli.arguments import parse_choice, parse_pair

    dimension, name = parse_pair(text, "--scope")
    parse_choice(dimension, BUDGET_DIMENSIONS, "the dimension of --scope")
    return dimension, name


def _format_window(seconds: int) -> str:
    """Format a window as ``--window`` takes it."""
    size, unit = next((size, unit) for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")) if seconds % size == 0)
    return f"{seconds // size}{unit}"
