"""``tally dashboards``: the pages as a process."""

import typer

app = typer.Typer(no_args_is_help=True, help="The pages.")


@app.callback()
def group() -> None:
    pass


@app.command()
def serve() -> None:
    """Serve the pages on loopback until SIGTERM or Ctrl-C; `tally status` tells their address.

    TALLY_BIND names another address of this machine, TALLY_HOSTS the names it is reached by. There, people sign in
    with the home's password, which `tally status` tells; or with OpenID Connect, where Streamlit's secrets have [auth].

    Example: TALLY_DASHBOARDS_PORT=8501 tally dashboards serve

    Exit codes: 0 stopped, 2 the port is taken, another process serves this home's pages, or [auth] lacks Authlib."""
    from dashboards.server import serve as serve_pages
    from tally.session import settings

    serve_pages(settings())
