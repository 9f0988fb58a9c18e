"""``tally verify``: the audit."""

from typing import Annotated

import typer


def verify(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Recompute counts, tokens and costs from the log, and compare them with the derived topic and the warehouse.

    The audit shares no code with the folds. It compares at the positions of folds and sink when it starts. If
    services are not running, the command starts them, waits until they reach the end of the log, and stops them
    again.

    Example: tally verify --json

    Exit codes: 0 all figures are equal, 1 a difference (the first one is shown), 2 there is no log."""
    from audit.verify.report import render_report
    from audit.verify.verify import verify as compare
    from tally.output import out, print_json, progress_bar
    from tally.processes.join import needing
    from tally.processes.service import Child, list_pipeline_services
    from tally.product.catch_up import make_follower, wait_for_sink
    from tally.session import opened, settings
    from warehouse.client import connect

    config = settings()
    with opened(config) as log, needing(config, list_pipeline_services(config)) as running:
        if any(isinstance(service, Child) for service in running):
            wait_for_sink(config, log, running)
        with progress_bar() as bar:
            report = compare(config, log, connect(config), make_follower(bar, "recomputing", running))
    if as_json:
        print_json(report.as_json())
    else:
        out.print(render_report(report))
    if report.difference is not None:
        raise typer.Exit(1)
