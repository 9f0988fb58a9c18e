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
    from ledger.home.tokens import ROLES, create_token, revoke_token
    from ledger.log import Log
    from tally.demo import fill, choose_organization
    from tally.output import err, progress_bar
    from tally.processes.service import FEED
    from tally.product.up import run
    from tally.session import make_home, settings

    config = settings()

    def fill_history(log: Log) -> None:
        with progress_bar() as bar:
            task = bar.add_task("filling a month of history", total=None)
            fill(log, config, lambda count, total: bar.update(task, completed=count, total=total))
        err.print("[green]✓[/] history up to now")

    make_home(config)
    token, bearer = create_token(config.home, [choose_organization(config)], ROLES)
    try:
        run(config, fill=fill_history, extra_services=(FEED,), token=bearer)
    finally:
        revoke_token(config.home, token.id)


@app.command()
def feed() -> None:
    """Append the demo organization's live events until SIGTERM or Ctrl-C; `tally demo` runs this.

    Example: tally demo feed

    Exit codes: 0 stopped, 2 where there is no log."""
    import signal
    import threading

    from ledger.home.locks import service_lock
    from ledger.home.presence import announce
    from tally.demo import feed as live
    from tally.session import opened, settings

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    config = settings()
    with opened(config) as log, service_lock(config.home, "feed"):
        announce(config.home, "feed")
        live(log, config, stopping)
