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
    from tally.output import print_json
    from tally.session import opened, settings
    from tally.status.collect import collect_status
    from tally.status.render import print_status

    config = settings()
    with opened(config) as log:
        facts = collect_status(config, log)
    if as_json:
        print_json(facts)
    else:
        print_status(facts)
