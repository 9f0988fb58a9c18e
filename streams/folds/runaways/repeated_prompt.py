"""Prompts that hardly differ, in a conversation that gets longer by its own answers."""

from streams.folds.runaways.run import Run
from streams.folds.runaways.signs import has_growth

MIN_REPEATS = 5


def is_found(run: Run) -> bool:
    """Prompts of a template that is filled with each row of a list hardly differ either, and do not grow."""
    return run.kinds == ("prompt",) and run.repeats >= MIN_REPEATS and has_growth(run)
