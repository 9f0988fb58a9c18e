"""``tally alerts route``: which alerts go where."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tally.cli.options import AsJson, Organization
from tally.output import make_table, out, print_json

if TYPE_CHECKING:
    from alerting.routes import Route
    from ledger.log import Log
    from ledger.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Routes: which alerts go where, by team and severity.")


@app.callback()
def group() -> None:
    pass


@app.command(no_args_is_help=True)
def add(
    channel: Annotated[str, typer.Option(help="webhook, slack, pagerduty, opsgenie, teams, email or alertmanager.")],
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="Address or key; - reads it from stdin.")],
    organization: Organization = None,
    team: Annotated[str | None, typer.Option(help="Only alerts of this team and of teams below it.")] = None,
    severity: Annotated[str, typer.Option(help="warning (all alerts) or page.")] = "warning",
    after: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Only alerts that nobody acknowledged for so long: 15m.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a route: where alerts of an organization go from now on.

    Addresses: a URL for webhook, slack, teams (of a workflow) and alertmanager; the integration's key for pagerduty and
    opsgenie, or https://KEY@HOST for another region; smtp://USER:PASSWORD@HOST:587/TO?from=SENDER for email, over
    STARTTLS. An alert's escalation, acknowledgement and end go to the receivers that have it.

    Example: tally alerts route add --channel pagerduty --to 0123456789abcdef0123456789abcdef --severity page

    Example: tally alerts route add --channel slack --to - --team search --org acme < address

    Example: tally alerts route add --channel opsgenie --to https://KEY@api.eu.opsgenie.com --after 15m

    Exit codes: 0 added, 2 bad input."""
    import sys

    from alerting import routes
    from tally.cli.arguments import parse_choice, parse_duration_s
    from tally.session import opened, settings

    config = settings(organization=organization)
    kind = parse_choice(channel, routes.CHANNELS, "--channel")
    least = parse_choice(severity, routes.SEVERITIES, "--severity")
    after_s = None if after is None else parse_duration_s(after, "--after")
    address = sys.stdin.readline().strip() if to == "-" else to
    with opened(config, new=True) as log:
        begin(config, log)
        route = routes.add_route(config.home, config.organization, kind, address, team, least, after_s)
    if as_json:
        print_json(describe(route) | ({"secret": route.secret} if route.channel == "webhook" else {}))
        return
    out.print(f"Added route {route.id}. Try it: tally alerts test --route {route.id}", markup=False, soft_wrap=True)
    if route.channel == "webhook":
        out.print(f"Signing secret, shown once: {route.secret}", markup=False, highlight=False, soft_wrap=True)


@app.command("list")
def list_(
    organization: Annotated[str | None, typer.Option("--organization", "--org", help="Only this organization.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the routes of all organizations. Of each address, only the host and a mark are shown.

    Example: tally alerts route list --org acme

    Exit codes: 0 listed, 2 the file of routes is damaged or cannot be read."""
    from alerting.routes import list_routes
    from tally.session import settings

    routes = [
        route for route in list_routes(settings().home).values() if organization in (None, route.organization)
    ]  # fmt: skip
    if as_json:
        print_json([describe(route) for route in routes])
        return
    if not routes:
        whose = f"{organization} has" if organization else "There are"
        out.print(f"{whose} no routes: add one with `tally alerts route add` or `tally alerts webhook`.", markup=False)
        return
    table = make_table("id", "organization", "channel", "address", "team", "severity", "after", "ended")
    for route in routes:
        after = "" if route.after_s is None else f"{route.after_s / 60:g} min"
        cells = (route.id, route.organization, route.channel, str(describe(route)["address"]), route.team or "all")
        table.add_row(*map(escape, cells), route.severity, after, escape(route.gone or ""))
    out.print(table)


@app.command(no_args_is_help=True)
def remove(
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="Id of the route.")], as_json: AsJson = False
) -> None:
    """Remove a route. Its pending deliveries are canceled.

    Example: tally alerts route remove slack-5f0c2a91

    Exit codes: 0 removed, 2 there is no such route."""
    from alerting.routes import remove_route
    from tally.session import settings

    removed = remove_route(settings().home, route)
    if as_json:
        print_json(describe(removed))
    else:
        out.print(f"Removed route {removed.id} of {removed.organization!r}", markup=False)


def begin(config: "Settings", log: "Log") -> None:
    """Have the deliverer begin after the newest record where the home has no route yet."""
    from contextlib import closing

    from alerting.delivery_store import Deliveries
    from alerting.routes import list_routes
    from alerting.worker import begin_at_end

    with closing(Deliveries(config.home)) as deliveries:
        if not list_routes(config.home):
            begin_at_end(log, deliveries)


def describe(route: "Route") -> dict[str, object]:
    """Return the facts of a route that may be shown."""
    from alerting.routes import mask_address

    return {
        "id": route.id, "organization": route.organization, "channel": route.channel,
        "address": mask_address(route.address), "team": route.team, "severity": route.severity,
        "after_s": route.after_s, "since": format_time(route.since_ms), "gone": route.gone,
    }  # fmt: skip


def format_time(moment_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
