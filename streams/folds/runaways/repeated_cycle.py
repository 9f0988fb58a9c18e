"""A few steps, round and round: the same tools with the same arguments and the same results."""

from streams.folds.runaways.run import Run
from streams.folds.runaways.signs import has_growth, has_haste


def is_found(run: Run, threshold: int) -> bool:
    is_cycle = run.exact_repeats >= threshold and not run.is_one_call and run.kinds != ("prompt",)
    return is_cycle and (has_growth(run) or has_haste(run))
