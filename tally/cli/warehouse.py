"""``tally warehouse``: the embedded warehouse, its sink and its models, each as a process."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The warehouse, its sink and its dbt models.")


@app.command()
def serve() -> None:
    """Serve the embedded warehouse over ClickHouse's HTTP interface on loopback until SIGTERM or Ctrl-C.

    `tally status` shows the address, and both users with their passwords: tally, and analyst, who only reads. Any
    ClickHouse client connects (docs/connect.md).

    Example: TALLY_WAREHOUSE_PORT=8123 tally warehouse serve

    Exit codes: 0 stopped, 2 the port is taken or another process serves this home's warehouse."""
    from tally.processes.lifeline import get_descriptor
    from tally.session import settings
    from warehouse.embedded.server import serve as serve_warehouse

    config = settings()
    serve_warehouse(config, config.warehouse_port, get_descriptor())


@app.command()
def sink() -> None:
    """Insert the derived topics into the warehouse until SIGTERM or Ctrl-C. Several sinks at once are safe.

    Example: tally warehouse sink

    Exit codes: 0 stopped, 2 there is no log."""
    from ledger.home.locks import locked
    from tally.session import opened, settings
    from warehouse.sink import run

    config = settings()
    with opened(config) as log, locked(config.run / "sink.lock", is_shared=True):
        run(config, log)


@app.command()
def models(
    test: Annotated[bool, typer.Option("--test", help="Also run the tests of the models.")] = False,
) -> None:
    """Build the dbt models in the running warehouse, once.

    Example: tally warehouse models --test

    Exit codes: 0 built, 1 a model or a test failed (it is named), 2 the warehouse does not answer."""
    from tally.dbt_models import build_models
    from tally.session import settings

    build_models(settings(), test=test)


@app.command()
def docs(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Write the documentation to this HTML file instead of serving it.")
    ] = None,
) -> None:
    """Build dbt's documentation of the models, and serve it on loopback until Ctrl-C.

    It describes every model and column, with lineage and SQL, and holds no data of the ledger. It is one HTML file that
    loads nothing from elsewhere. If the warehouse is not running, the command starts it.

    Example: tally warehouse docs

    Example: tally warehouse docs --output models.html

    Exit codes: 0 written, or stopped; 1 dbt could not build it; 2 the port is taken, or the file cannot be written."""
    from tally.product.docs_server import serve_page, write_page
    from tally.session import settings

    config = settings()
    if output is None:
        serve_page(config, port)
    else:
        write_page(config, output)
