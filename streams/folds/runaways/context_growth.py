"""A prompt that gets longer with each call, though nothing new is learned. It confirms a runaway that another found."""

from streams.folds.runaways.run import Run
from streams.folds.runaways.signs import has_growth

MIN_REPEATS = 6


def is_found(run: Run) -> bool:
    return run.repeats >= MIN_REPEATS and has_growth(run)
