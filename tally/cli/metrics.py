"""``tally metrics``: metrics for Prometheus, as a process."""

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Metrics for Prometheus.")


@app.callback()
def group() -> None:
    pass


@app.command()
def serve(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 for any free one (TALLY_METRICS_PORT).")
    ] = None,
) -> None:
    """Serve /metrics for Prometheus until SIGTERM or Ctrl-C, on loopback or TALLY_BIND.

    `tally status` shows the address. Metrics are collected at each scrape; those of an
    unreachable log or warehouse are omitted.

    Example: tally metrics serve --port 9464

    Exit codes: 0 stopped, 2 the port is taken, there is no log, or another process serves this home's metrics."""
    from tally.product.metrics_server import serve as serve_metrics
    from tally.session import settings

    config = settings()
    serve_metrics(config, config.metrics_port if port is None else port)
