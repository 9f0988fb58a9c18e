"""Prompts that hardly differ: a conversation that gets longer by its own answers, or an agent that no longer works."""

from streams.folds.runaways.run import Run
from streams.folds.runaways.signs import has_growth, has_haste

MIN_REPEATS, MIN_REPEATS_AT_ONE_LENGTH = 5, 8


def is_found(run: Run) -> bool:
    """Prompts of a template that is filled with each row of a list hardly differ either, and do not grow. Who does that
    does nothing else: an agent that has used tools and then asks without them, again and again, has lost its way."""
    if run.kinds != ("prompt",):
        return False
    is_lost = run.has_worked and run.repeats >= MIN_REPEATS_AT_ONE_LENGTH and has_haste(run)
    return is_lost or (run.repeats >= MIN_REPEATS and has_growth(run))
