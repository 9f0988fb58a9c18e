"""``tally kafka``: Apache Kafka itself, as a process."""

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="A Kafka of this home, for one machine.")


@app.callback()
def group() -> None:
    pass


@app.command()
def serve(
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Where it listens; 0 is the port of last time, or any free one."),
    ] = None,
) -> None:
    """Run Apache Kafka for one machine, on loopback and with one copy of its data, until SIGTERM or Ctrl-C.

    The first start on a machine brings Kafka (45 MB) from Maven Central; later ones need no network.

    Example: tally kafka serve --port 9092

    Exit codes: 0 stopped, 1 Kafka died, 2 the port is taken, Kafka cannot be brought, or another process runs it."""
    from tally.local_kafka.serve import serve as serve_kafka
    from tally.session import settings

    config = settings()
    serve_kafka(config, config.kafka_port if port is None else port)
