"""``tally kafka``: Apache Kafka itself, as a process."""

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="An Apache Kafka broker for this home, on one machine.")


@app.callback()
def group() -> None:
    pass


@app.command()
def serve(
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; 0 for the previous one, or any free one."),
    ] = None,
) -> None:
    """Run an Apache Kafka broker on loopback, without replicas, until SIGTERM or Ctrl-C.

    The first start on a machine downloads Kafka (45 MB) from Maven Central; later starts need no network.

    Example: tally kafka serve --port 9092

    Exit codes: 0 stopped, 1 Kafka crashed, 2 the port is taken, Kafka cannot be downloaded, or another process
    runs it."""
    from tally.local_kafka.serve import serve as serve_kafka
    from tally.session import settings

    config = settings()
    serve_kafka(config, config.kafka_port if port is None else port)
