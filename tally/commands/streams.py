"""``tally streams``: the folds as a process."""

import typer

app = typer.Typer(no_args_is_help=True, help="The folds: what follows from the log.")


@app.callback()
def group() -> None:
    pass


@app.command()
def worker() -> None:
    """Fold the log until SIGTERM or Ctrl-C; `tally up` runs this, a supervisor of yours can too.

    Example: tally streams worker

    Exit codes: 0 stopped, 2 another worker has this home, or the log is damaged."""
    from streams.worker import run
    from tally.opening import settings

    run(settings())
