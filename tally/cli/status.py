"""``tally status``."""

from typing import Annotated

import typer


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Tell what runs, where it listens (with user and password), how far each stage is and what it lacks, how fast the
    folds are, what became of all events, and sizes on disk.

    The folds' rate is measured: what they derived within half a second.

    Example: tally status

    Example: tally status --json | jq -r .parts.dashboards.url

    Exit codes: 0 told, also where nothing runs; 2 where there is no log."""
    from tally.output import tell
    from tally.session import opened, settings
    from tally.status.collect import state
    from tally.status.render import show

    chosen = settings()
    with opened(chosen) as log:
        found = state(chosen, log)
    if as_json:
        tell(found)
    else:
        show(found)
