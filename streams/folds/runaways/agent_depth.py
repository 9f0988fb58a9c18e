"""Agents that start agents that start agents: a call tree that is too deep."""

from streams.folds.runaways.run import Run


def is_found(run: Run, threshold: int) -> bool:
    return run.tree is not None and run.tree.depth >= threshold
