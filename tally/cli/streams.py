"""``tally streams``: the folds as a process."""

import typer

app = typer.Typer(no_args_is_help=True, help="The folds: what follows from the log.")


@app.callback()
def group() -> None:
    pass


@app.command()
def worker() -> None:
    """Fold the log until SIGTERM or Ctrl-C; `tally up` runs this, a supervisor of yours can too.

    On Kafka it can be started many times: workers share the partitions.

    Example: tally streams worker

    Example: TALLY_LOG=kafka://broker:9092 tally streams worker

    Exit codes: 0 stopped, 2 another worker has this home (embedded), or the log is damaged."""
    from tally.session import opened, settings

    config = settings()
    if config.log is None:
        from streams.embedded.worker import run

        run(config)
    else:
        from streams.kafka.worker import run as share

        with opened(config) as log:
            share(config, log)
