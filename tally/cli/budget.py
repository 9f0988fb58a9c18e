"""``tally budget``: budgets, as control records on the log."""

from typing import Annotated, get_args

import typer

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
    organization: Annotated[
        str | None, typer.Option("--organization", "--org", help="Organization (TALLY_ORGANIZATION).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Set the limit of spend for a scope over a rolling window. Setting the same scope and window again changes it.

    Crossing 50, 80 or 100 % of the limit is recorded on the topic tally.decisions. --unknown-usage says what calls are
    worth whose cost is not known: nothing, and they are counted beside the spend (tokens_only); the most that they may
    cost (assume_greatest); or a decision and an alert as soon as one lies in the window (deny).

    Example: tally budget set --scope team=search --limit 100 --window 1h --reason "launch week"

    Exit codes: 0 set, 2 bad input."""
    from ingest.controls.budgets import set_budget
    from ledger.dimensions import BUDGET_DIMENSIONS
    from tally.cli.arguments import parse_amount, parse_choice, parse_pair, parse_window_s
    from tally.session import opened, settings
    from tallystick.vocabulary.controls.budgets import DEFAULT_UNKNOWN_USAGE, UnknownUsage

    config = settings(organization=organization)
    dimension, name = parse_pair(scope, "--scope")
    parse_choice(dimension, BUDGET_DIMENSIONS, "the dimension of --scope")
    if unknown_usage is not None:
        parse_choice(unknown_usage, get_args(UnknownUsage), "--unknown-usage")
    limit_amount, window_s = parse_amount(limit, "--limit"), parse_window_s(window, "--window")
    with opened(config, new=True) as log:
        position = set_budget(
            log, config, config.organization, dimension, name, limit_amount, currency, window_s, reason, unknown_usage
        )
    facts = {"dimension": dimension, "scope": name, "limit": limit_amount, "currency": currency, "window_s": window_s}
    facts["unknown_usage"] = unknown_usage or DEFAULT_UNKNOWN_USAGE
    if as_json:
        print_json(
            facts | {"organization": config.organization, "partition": position.partition, "offset": position.offset}
        )
    else:
        out.print(
            f"Set a budget in organization {config.organization}: {dimension} {name}, {limit_amount} {currency} in "
            f"{window}. On the log at {position}.",
            markup=False,
        )
