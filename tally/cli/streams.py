"""``tally streams``: the folds, as a process."""

import typer

app = typer.Typer(no_args_is_help=True, help="The folds, which derive entries, decisions and alerts from the log.")


@app.callback()
def group() -> None:
    pass


@app.command()
def worker() -> None:
    """Fold the log until SIGTERM or Ctrl-C. `tally up` runs this service; your own supervisor can too.

    On Kafka, start as many workers as you like: they share the partitions.

    Example: tally streams worker

    Example: TALLY_LOG=kafka://broker:9092 tally streams worker

    Exit codes: 0 stopped, 2 another worker of this home runs (embedded), or the log is damaged."""
    from tally.session import opened, settings

    config = settings()
    if config.log is None:
        from streams.embedded.worker import run

        run(config)
    else:
        from streams.kafka.worker import run as share

        with opened(config) as log:
            share(config, log)
