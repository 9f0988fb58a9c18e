"""A tool that answers what it has answered before, whatever it is asked: noise in arguments, pages without an end."""

from streams.folds.runaways.run import Run
from streams.folds.runaways.signs import has_growth

MIN_REPEATS = 20
"""A tool that writes files answers the same for each of many in a row."""


def is_found(run: Run) -> bool:
    """A list whose rows are answered yes or no has no growth: each row is asked anew."""
    return run.kinds == ("result",) and run.repeats >= MIN_REPEATS and has_growth(run)
