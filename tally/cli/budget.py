"""``tally budget``: limits as decisions on the log."""

from typing import Annotated

import typer

from tally.output import out, print_json

app = typer.Typer(no_args_is_help=True, help="Limits of spend, as decisions on the log.")


@app.callback()
def group() -> None:
    pass


@app.command("set", no_args_is_help=True)
def set_(
    scope: Annotated[str, typer.Option(help="What is limited: DIMENSION=NAME, for example team=search.")],
    limit: Annotated[str, typer.Option(help="How much may be spent within the window.")],
    window: Annotated[str, typer.Option(help="The rolling window: 5m, 1h, 7d; whole minutes up to 31 days.")],
    reason: Annotated[str, typer.Option(help="Why; it stays on the log.")],
    currency: Annotated[str, typer.Option(help="Of the limit.")] = "USD",
    organization: Annotated[str | None, typer.Option(help="Whose budget (TALLY_ORGANIZATION).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Set a limit of spend for one scope over a rolling window; the same scope and window again changes it.

    Each crossing of 50, 80 and 100 % becomes a decision on the topic tally.decisions.

    Example: tally budget set --scope team=search --limit 100 --window 1h --reason "launch week"

    Exit codes: 0 on the log, 2 bad input."""
    from ingest.controls.budgets import set_budget
    from tally.cli.arguments import parse_amount, parse_pair, parse_duration_s
    from tally.session import opened, settings

    config = settings(organization=organization)
    dimension, name = parse_pair(scope, "--scope")
    limit_amount, window_s = parse_amount(limit, "--limit"), parse_duration_s(window, "--window")
    with opened(config, new=True) as log:
        partition, offset, _ = set_budget(
            log, config, config.organization, dimension, name, limit_amount, currency, window_s, reason
        )
    facts = {"dimension": dimension, "scope": name, "limit": limit_amount, "currency": currency, "window_s": window_s}
    if as_json:
        print_json(facts | {"organization": config.organization, "partition": partition, "offset": offset})
    else:
        out.print(f"{dimension} {name}: {limit_amount} {currency} in {window}, from {partition}:{offset} on", markup=False)
