"""``tally metrics``: figures for Prometheus, as a process."""

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Figures for Prometheus.")


@app.callback()
def group() -> None:
    pass


@app.command()
def serve(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Where it listens; 0 is any free one (TALLY_METRICS_PORT).")
    ] = None,
) -> None:
    """Serve /metrics for Prometheus, on loopback or TALLY_BIND, until SIGTERM or Ctrl-C; `tally status` tells where.

    The figures are asked for when they are scraped. Those of the log or the warehouse are absent while it is away.

    Example: tally metrics serve --port 9464

    Exit codes: 0 stopped, 2 the port is taken, there is no log, or another process serves this home's metrics."""
    from tally.product.metrics_server import serve as serve_metrics
    from tally.session import settings

    config = settings()
    serve_metrics(config, config.metrics_port if port is None else port)
