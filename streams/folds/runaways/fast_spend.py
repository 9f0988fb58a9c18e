"""An agent that spends much faster than it did before, in whatever session: also one of which all results are new."""

from streams.folds.runaways.run import Run


def is_found(run: Run) -> bool:
    return run.pace is not None and run.pace.is_fast
