"""Agents that start agents that start agents: a call tree that is too deep."""

from streams.folds.runaways.run import Run

MIN_DEPTH = 10


def is_found(run: Run) -> bool:
    return run.tree is not None and run.tree.depth >= MIN_DEPTH
