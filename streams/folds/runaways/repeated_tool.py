"""The same tool with the same arguments and the same result, again and again."""

from streams.folds.runaways.run import Run
from streams.folds.runaways.signs import has_growth, has_haste


def is_found(run: Run, threshold: int) -> bool:
    """A poll is found by neither sign: it waits, and it hardly makes the prompt longer."""
    is_tool = run.is_one_call and run.last_signature.kind in ("result", "request")
    return is_tool and run.repeats >= threshold and (has_growth(run) or has_haste(run))
