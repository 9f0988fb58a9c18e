"""The same error, tried again without waiting longer each time."""

from streams.folds.runaways.run import Run

MIN_REPEATS = 5
MAX_MEAN_INTERVAL_US = 15 * 1_000_000


def is_found(run: Run) -> bool:
    """A source that waits longer each time has seen the error."""
    first_us, _, _, last_us = run.intervals_us
    is_hasty = run.last_us - run.since_us <= MAX_MEAN_INTERVAL_US * (run.repeats - 1) and last_us <= 4 * first_us
    return run.kinds == ("error",) and run.repeats >= MIN_REPEATS and is_hasty
