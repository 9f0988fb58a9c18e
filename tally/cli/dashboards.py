"""``tally dashboards``: the dashboards, as a process."""

import typer

app = typer.Typer(no_args_is_help=True, help="The dashboards.")


@app.callback()
def group() -> None:
    pass


@app.command()
def serve() -> None:
    """Serve the dashboards on loopback until SIGTERM or Ctrl-C. `tally status` shows the address.

    TALLY_BIND sets another address of this machine, TALLY_HOSTS the host names it is reached by. Off loopback, people
    sign in with the home's password (`tally status` shows it), or with OpenID Connect if Streamlit's secrets have
    [auth].

    Example: TALLY_DASHBOARDS_PORT=8501 tally dashboards serve

    Exit codes: 0 stopped, 2 the port is taken, another process serves this home's dashboards, or Authlib, which
    [auth] needs, is not installed."""
    from dashboards.server import serve as serve_pages
    from tally.session import settings

    serve_pages(settings())
