"""``tally api``: the HTTP door, as a process."""

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The HTTP door, where applications send events.")


@app.callback()
def group() -> None:
    pass


@app.command()
def serve(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Where it listens; 0 is any free one (TALLY_API_PORT).")
    ] = None,
) -> None:
    """Take events over HTTP, on loopback or TALLY_BIND, until SIGTERM or Ctrl-C; `tally status` tells where.

    Who sends shows a token: `tally token create`. /openapi.json describes all of it.

    Example: tally api serve --port 8787

    Exit codes: 0 stopped, 2 the port is taken, or another process serves this home's door."""
    from contextlib import closing

    from ingest.api.server import serve as serve_api
    from ledger.log.open import open_log
    from tally.session import opened, settings

    config = settings()
    with opened(config, new=True) as log, closing(open_log(config)) as reader:
        serve_api(config, log, reader, config.api_port if port is None else port)
