"""``tally verify``: the proof."""

from typing import Annotated

import typer


def verify(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Recompute counts, tokens and costs from the log and compare them with the topic and the warehouse.

    It shares no code with the folds. It starts what it needs and stops it again, or joins what runs.

    Example: tally verify --json

    Exit codes: 0 everything equals, 1 a difference (the first one is told), 2 there is no log."""
