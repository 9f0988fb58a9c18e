"""``tally demo``: the product with an organization that lives."""

import typer

app = typer.Typer(invoke_without_command=True)


@app.callback()
def demo(context: typer.Context) -> None:
    """Run the product with a demo organization: its history first, then live events, until Ctrl-C.

    Example: tally demo

    The data stays in TALLY_HOME; a second run goes on with it.

    Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 a part kept dying (its reason is told), 2 home or port is taken."""
    if context.invoked_subcommand:
        return
    from ledger.home.tokens import ROLES, create, revoke
    from ledger.log import Log
    from tally.demo import fill, organization
    from tally.output import err, progress
    from tally.processes.service import FEED
    from tally.product.up import run
    from tally.session import make_home, settings

    chosen = settings()

    def filled(log: Log) -> None:
        with progress() as shown:
            task = shown.add_task("filling a month of history", total=None)
            fill(log, chosen, lambda done, total: shown.update(task, completed=done, total=total))
        err.print("[green]✓[/] history up to now")

    make_home(chosen)
    token, bearer = create(chosen.home, [organization(chosen)], ROLES)
    try:
        run(chosen, fill=filled, also=(FEED,), token=bearer)
    finally:
        revoke(chosen.home, token.id)


@app.command()
def feed() -> None:
    """Append the demo organization's live events until SIGTERM or Ctrl-C; `tally demo` runs this.

    Example: tally demo feed

    Exit codes: 0 stopped, 2 where there is no log."""
    import signal
    import threading

    from ledger.home.locks import only_one
    from ledger.home.presence import announce
    from tally.demo import feed as live
    from tally.session import opened, settings

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    chosen = settings()
    with opened(chosen) as log, only_one(chosen.home, "feed"):
        announce(chosen.home, "feed")
        live(log, chosen, stopping)
