"""``tally demo``: the product with an organization that lives."""

import typer

app = typer.Typer(invoke_without_command=True)


@app.callback()
def demo(context: typer.Context) -> None:
    """Run the product with a demo organization: its history first, then live events, until Ctrl-C.

    Example: tally demo

    The data stays in TALLY_HOME; a second run goes on with it.

    Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 a part died (its reason is told), 2 home or port is taken."""
    if context.invoked_subcommand:
        return
    from tally.demo import fill
    from tally.opening import settings
    from tally.output import progress
    from tally.parts import FEED
    from tally.up import run

    chosen = settings()
    with progress() as shown:
        pass
    run(chosen, fill=lambda log: fill(log, chosen, shown), also=(FEED,))


@app.command()
def feed() -> None:
    """Append the demo organization's live events until SIGTERM or Ctrl-C; `tally demo` runs this.

    Example: tally demo feed

    Exit codes: 0 stopped, 2 where there is no log."""
