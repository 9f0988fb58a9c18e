"""A few steps, round and round: the same tools with the same arguments and the same results."""

from streams.folds.runaways.run import Run
from streams.folds.runaways.signs import has_growth, has_haste

MIN_EXACT_REPEATS = 4


def is_found(run: Run) -> bool:
    is_cycle = run.exact_repeats >= MIN_EXACT_REPEATS and not run.is_one_call and run.kinds != ("prompt",)
    return is_cycle and (has_growth(run) or has_haste(run))
