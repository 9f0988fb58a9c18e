"""``tally budget``: limits as decisions on the log."""

from typing import Annotated

import typer

from tally.output import out, tell

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
    from tally.cli.arguments import amount, pair, seconds
    from tally.session import opened, settings

    chosen = settings(organization=organization)
    dimension, name = pair(scope, "--scope")
    limited, window_s = amount(limit, "--limit"), seconds(window, "--window")
    with opened(chosen, new=True) as log:
        partition, offset, _ = set_budget(
            log, chosen, chosen.organization, dimension, name, limited, currency, window_s, reason
        )
    said = {"dimension": dimension, "scope": name, "limit": limited, "currency": currency, "window_s": window_s}
    if as_json:
        tell(said | {"organization": chosen.organization, "partition": partition, "offset": offset})
    else:
        out.print(f"{dimension} {name}: {limited} {currency} in {window}, from {partition}:{offset} on", markup=False)
