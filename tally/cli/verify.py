"""``tally verify``: the proof."""

from typing import Annotated

import typer


def verify(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Recompute counts, tokens and costs from the log, and compare them with the topic and the warehouse.

    It shares no code with the folds. It compares at the positions that folds and sink had reached when it began.
    Where nothing runs, what is needed is started, brought up to the log's end, and stopped again.

    Example: tally verify --json

    Exit codes: 0 everything equals, 1 a difference (the first one is told), 2 there is no log."""
    from audit.verify.report import rendered
    from audit.verify.verify import verify as compare
    from tally.output import out, progress, tell
    from tally.processes.join import needing
    from tally.processes.service import Child, storing
    from tally.product.catch_up import following, wait_for_sink
    from tally.session import opened, settings
    from warehouse.client import connect

    chosen = settings()
    with opened(chosen) as log, needing(chosen, storing(chosen)) as running:
        if any(isinstance(part, Child) for part in running):
            wait_for_sink(chosen, log, running)
        with progress() as shown:
            report = compare(chosen, log, connect(chosen), following(shown, "recomputing", running))
    if as_json:
        tell(report.as_json())
    else:
        out.print(rendered(report))
    if report.difference is not None:
        raise typer.Exit(1)
