"""Signs that tell a loop from work that looks like one (pure). Their thresholds: docs/benchmarks.md."""

from streams.folds.runaways.run import Run

MIN_GROWTH_TOKENS = 150
"""A loop writes each answer into its own prompt. Rows of a list are each asked anew; a poll answers in a few words."""
MAX_HASTE_US = 30 * 1_000_000
"""An agent that waits longer on average between two calls polls, or works slowly."""
MAX_SCHEDULE_SPREAD = 0.1
MIN_SCHEDULE_US = 10 * 1_000_000


def has_growth(run: Run) -> bool:
    """Tell whether the prompt gets longer with each call, though nothing new is learned."""
    first, last = run.input_tokens
    return last - first >= MIN_GROWTH_TOKENS * (run.repeats - 1)


def has_haste(run: Run) -> bool:
    """Tell whether calls follow each other without waiting, and not by a schedule."""
    _, shortest_us, longest_us, _ = run.intervals_us
    is_scheduled = shortest_us >= MIN_SCHEDULE_US and longest_us <= shortest_us * (1 + MAX_SCHEDULE_SPREAD)
    return run.last_us - run.since_us <= MAX_HASTE_US * (run.repeats - 1) and not is_scheduled
