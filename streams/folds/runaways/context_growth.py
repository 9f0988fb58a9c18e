"""A prompt that gets longer with each call, though nothing new is learned. It confirms a runaway that another found."""

from streams.folds.runaways.run import Run
from streams.folds.runaways.signs import has_growth


def is_found(run: Run, threshold: int) -> bool:
    return run.repeats >= threshold and has_growth(run)
