"""``tally dashboards``: the pages as a process."""

import typer

app = typer.Typer(no_args_is_help=True, help="The pages.")


@app.callback()
def group() -> None:
    pass


@app.command()
def serve() -> None:
    """Serve the pages on loopback until SIGTERM or Ctrl-C; `tally status` tells their address.

    TALLY_BIND names another address of this machine. There is no login: who reaches the pages sees every figure.

    Example: TALLY_DASHBOARDS_PORT=8501 tally dashboards serve

    Exit codes: 0 stopped, 2 the port is taken or another process serves this home's pages."""
    from tally.dashboard import serve as serve_pages
    from tally.opening import settings

    serve_pages(settings())
