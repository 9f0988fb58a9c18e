"""``tally api``: the HTTP API, as a process."""

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The HTTP API, to which applications send events.")


@app.callback()
def group() -> None:
    pass


@app.command()
def serve(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 for any free one (TALLY_API_PORT).")
    ] = None,
) -> None:
    """Accept events over HTTP until SIGTERM or Ctrl-C, on loopback or TALLY_BIND.

    `tally status` shows the address. Requests need a token: `tally token create`. /openapi.json describes the API.

    Example: tally api serve --port 8787

    Exit codes: 0 stopped, 2 the port is taken, or another process serves this home's API."""
    from contextlib import closing

    from ingest.api.server import serve as serve_api
    from ledger.log.open import open_log
    from tally.session import opened, settings

    config = settings()
    with opened(config, new=True) as log, closing(open_log(config)) as reader:
        serve_api(config, log, reader, config.api_port if port is None else port)
