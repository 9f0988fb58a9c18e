"""``tally status``."""

from tally.cli.options import AsJson


def status(as_json: AsJson = False) -> None:
    """Show services, positions, lag, outcomes, disk usage and problems.

    Services are listed with address, user and password. The rate of the folds is measured over half a second.

    Example: tally status

    Example: tally status --json | jq -r .services.dashboards.url

    Exit codes: 0 shown, even if no service runs; 2 there is no log."""
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
