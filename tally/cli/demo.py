"""``tally demo``: the product with a demo organization."""

import typer

app = typer.Typer(invoke_without_command=True)


@app.callback()
def demo(context: typer.Context) -> None:
    """Run the product with a demo organization: a month of history, then live events, until Ctrl-C.

    Example: tally demo

    The data stays in TALLY_HOME; the next run continues it.

    Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 a service kept crashing (the reason is shown), 2 the home or
    a port is in use."""
    if context.invoked_subcommand:
        return
    from ledger.home.tokens import ROLES, create_token, revoke_token
    from ledger.log import Log
    from tally.demo import choose_organization, fill
    from tally.output import err, progress_bar
    from tally.processes.service import FEED
    from tally.product.up import run
    from tally.session import make_home, settings

    config = settings()

    def fill_history(log: Log) -> None:
        with progress_bar() as bar:
            task = bar.add_task("appending a month of history", total=None)
            fill(log, config, lambda count, total: bar.update(task, completed=count, total=total))
        err.print("[green]✓[/] history appended")

    make_home(config)
    token, bearer = create_token(config.home, [choose_organization(config)], ROLES)
    try:
        run(config, fill=fill_history, extra_services=(FEED,), token=bearer)
    finally:
        revoke_token(config.home, token.id)


@app.command()
def feed() -> None:
    """Append the demo organization's live events until SIGTERM or Ctrl-C; `tally demo` runs this service.

    Example: tally demo feed

    Exit codes: 0 stopped, 2 there is no log."""
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
