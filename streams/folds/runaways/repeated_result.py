"""A tool that answers what it has answered before, whatever it is asked: noise in arguments, pages without an end."""

from streams.folds.runaways.run import Run
from streams.folds.runaways.signs import has_growth


def is_found(run: Run, threshold: int) -> bool:
    """A list whose rows are answered yes or no has no growth: each row is asked anew. A tool that writes files answers
    the same for each of many in a row."""
    return run.kinds == ("result",) and run.repeats >= threshold and has_growth(run)
