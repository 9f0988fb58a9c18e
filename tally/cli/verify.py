"""``tally verify``: the audit."""

from typing import Annotated

import typer

from tally.cli.options import AsJson


def verify(
    is_full: Annotated[
        bool, typer.Option("--all", help="Read the log from its beginning, not from what was verified before.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute counts, tokens and costs from the log, and compare them with the derived topics and the warehouse.

    The audit shares no code with the folds. It compares at the positions of folds and sink when it starts: the log from
    where it was last verified, every row of the warehouse, and the definitions of the models' views. If services are
    not running, the command starts them, waits until they reach the end of the log, and stops them again.

    Example: tally verify --all

    Example, each night, as a line of cron: 15 3 * * * TALLY_HOME=/srv/tally tally verify --json

    Exit codes: 0 all figures are equal, 1 a difference (the first one is shown), 2 there is no log."""
    from audit.verify.report import render_report
    from audit.verify.verify import verify as compare
    from tally import dbt_models
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
            follow = make_follower(bar, "recomputing", running)
            models = dbt_models.read_models(config) if dbt_models.are_built(config) else None
            report = compare(config, log, connect(config), follow, models=models, is_full=is_full)
    if as_json:
        print_json(report.as_json())
    else:
        out.print(render_report(report))
    if report.difference is not None:
        raise typer.Exit(1)
