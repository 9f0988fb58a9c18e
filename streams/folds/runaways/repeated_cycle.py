"""A few steps, round and round: the same tools with the same arguments and the same results."""

from streams.folds.runaways.run import Run
from streams.folds.runaways.signs import has_growth, has_haste

MIN_REPEATS = 5


def is_found(run: Run) -> bool:
    is_exact = run.exact_repeats == run.repeats and not run.is_one_call
    return is_exact and run.kinds != ("prompt",) and run.repeats >= MIN_REPEATS and (has_growth(run) or has_haste(run))
