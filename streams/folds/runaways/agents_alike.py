"""Agents of a session, one after the other, of which each begins as the one before it did."""

from streams.folds.runaways.run import Run


def is_found(run: Run, threshold: int) -> bool:
    """A dozen agents that each run the tests once share work."""
    return run.tree is not None and run.tree.alike >= threshold
