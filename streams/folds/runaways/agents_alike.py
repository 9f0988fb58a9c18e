"""Agents of a session, one after the other, of which each begins as the one before it did."""

from streams.folds.runaways.run import Run

MIN_ALIKE = 40
"""A dozen agents that each run the tests once share work."""


def is_found(run: Run) -> bool:
    return run.tree is not None and run.tree.alike >= MIN_ALIKE
