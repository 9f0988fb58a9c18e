"""The same error, tried again without waiting longer each time."""

from streams.folds.runaways.run import Run

MAX_MEAN_INTERVAL_US = 15 * 1_000_000


def is_found(run: Run, threshold: int) -> bool:
    """A source that waits longer each time has seen the error."""
    first_us, _, _, last_us = run.intervals_us
    is_hasty = run.last_us - run.since_us <= MAX_MEAN_INTERVAL_US * (run.repeats - 1) and last_us <= 4 * first_us
    return run.kinds == ("error",) and run.repeats >= threshold and is_hasty
