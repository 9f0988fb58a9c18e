"""``tally alerts``: alerts and what people do about them, where they are sent, and their deliveries."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tally.cli import alerts_handling, alerts_route, alerts_views
from tally.cli.options import AsJson
from tally.output import make_table, out, print_json

if TYPE_CHECKING:
    from alerting.routes import Route

app = typer.Typer(no_args_is_help=True, help="Alerts: what is active, who looks after it, and where it is sent.")
app.command("list")(alerts_views.list_)
app.command("show", no_args_is_help=True)(alerts_views.show)
app.command("ack", no_args_is_help=True)(alerts_handling.acknowledge)
app.command("silence", no_args_is_help=True)(alerts_handling.silence)
app.command("resolve", no_args_is_help=True)(alerts_handling.resolve)
app.command("label", no_args_is_help=True)(alerts_handling.label)
app.add_typer(alerts_route.app, name="route")
OrganizationOption = Annotated[
    str | None, typer.Option("--organization", help="Organization of the webhook (TALLY_ORGANIZATION).")
]


@app.command(no_args_is_help=True)
def webhook(
    url: Annotated[str, typer.Argument(metavar="URL", help="Address that receives alerts.")],
    organization: OrganizationOption = None,
    form: Annotated[
        str, typer.Option("--format", help="standard (Standard Webhooks, signed) or slack (an incoming webhook).")
    ] = "standard",
    as_json: AsJson = False,
) -> None:
    """Set the webhook of an organization: all of its messages go there from now on.

    It replaces the organization's webhook, if there is one. Prints the signing secret once. Test it with
    `tally alerts test`. For other channels, teams and severities use `tally alerts route add`.

    Example: tally alerts webhook https://hooks.example.com/tally --organization acme

    Exit codes: 0 set, 2 bad input."""
    from alerting import routes
    from tally.cli.arguments import parse_choice
    from tally.session import opened, settings

    config = settings()
    channel: routes.Channel = "slack" if parse_choice(form, ("standard", "slack"), "--format") == "slack" else "webhook"
    with opened(config, new=True) as log:
        alerts_route.begin(config, log)
        hook = routes.set_webhook(config.home, organization or config.organization, url, channel)
    if as_json:
        print_json(_describe(hook) | {"secret": hook.secret})
    elif hook.channel == "webhook":
        out.print(hook.secret, markup=False, highlight=False, soft_wrap=True)
    else:
        out.print(f"Set the webhook of {hook.organization!r}, in Slack's format", markup=False)


@app.command()
def webhooks(as_json: AsJson = False) -> None:
    """List the webhooks of all organizations. Of each address, only the host and a mark are shown.

    Example: tally alerts webhooks

    Exit codes: 0 listed, 2 the file of routes is damaged or cannot be read."""
    from alerting.routes import list_routes, name_webhook
    from tally.session import settings

    hooks = [route for route in list_routes(settings().home).values() if route.id == name_webhook(route.organization)]
    if as_json:
        print_json([_describe(hook) for hook in hooks])
        return
    table = make_table("organization", "address", "format", "since", "ended")
    for hook in hooks:
        facts = _describe(hook)
        table.add_row(
            escape(hook.organization), escape(str(facts["address"])), str(facts["format"]), str(facts["since"]),
            escape(hook.gone or ""),
        )  # fmt: skip
    out.print(table)


@app.command()
def remove(organization: OrganizationOption = None, as_json: AsJson = False) -> None:
    """Remove the webhook of an organization. Its pending deliveries are canceled.

    Example: tally alerts remove --organization acme

    Exit codes: 0 removed, 2 the organization has no webhook."""
    from alerting.routes import remove_webhook
    from tally.session import settings

    config = settings()
    removed = remove_webhook(config.home, organization or config.organization)
    if as_json:
        print_json(_describe(removed))
    else:
        out.print(f"Removed the webhook of {removed.organization!r}", markup=False)


@app.command()
def test(
    organization: OrganizationOption = None,
    route: Annotated[str | None, typer.Option(metavar="ID", help="A route, in place of the webhook.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send a test message to an organization's webhook or to a route, and show the answer.

    On PagerDuty and Opsgenie it opens an incident of the lowest severity: close it there.

    Example: tally alerts test --organization acme

    Example: tally alerts test --route pagerduty-5f0c2a91

    Exit codes: 0 delivered, 1 not delivered, 2 no such webhook or route."""
    import secrets
    import time

    from alerting.channels.transport import send
    from alerting.messages import create_test_message
    from alerting.routes import get_route, get_webhook, mask_address
    from alerting.wording import Context
    from ledger.home.presence import find_presence
    from tally.session import settings

    config = settings()
    home = config.home
    target = get_route(home, route) if route else get_webhook(home, organization or config.organization)
    message = create_test_message(target.organization, f"test-{secrets.token_hex(8)}", time.time_ns() // 1_000_000)
    answer = send(target, message, Context((find_presence(home, "dashboards") or {}).get("url")))
    address = mask_address(target.address)
    if as_json:
        print_json({"id": message.id, "address": address, "delivered": answer.delivered, "answer": answer.status})
    else:
        state = "delivered" if answer.delivered else "not delivered"
        out.print(f"{address}: {answer.status}, {state}", markup=False)
    if not answer.delivered:
        raise typer.Exit(1)


@app.command()
def deliveries(
    organization: Annotated[str | None, typer.Option("--organization", "--org", help="Only this organization.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of deliveries, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show deliveries of alerts: state, number of attempts, last answer, next attempt.

    A state is pending, delivered, given up (after a day of attempts), silenced (sent when the silence ends, if its
    alert still goes on), or not needed (somebody acknowledged the alert before it was due).

    Example: tally alerts deliveries --organization acme --limit 5

    Exit codes: 0 shown, 2 the file of deliveries is damaged or cannot be read."""
    from contextlib import closing

    from alerting.delivery_store import FILE, Deliveries, Delivery
    from tally.session import settings

    config = settings()
    newest: list[Delivery] = []
    if (config.home / FILE).exists():
        with closing(Deliveries(config.home, writes=False)) as store:
            newest = store.list_newest(organization, limit)
    if as_json:
        time_fields = ("time", "due", "ended")
        print_json(
            [
                delivery._asdict() | {name: _format_time(getattr(delivery, f"{name}_ms")) for name in time_fields}
                for delivery in newest
            ]
        )
        return
    table = make_table("time", "organization", "route", "type", "state", ">attempts", "answer", "next attempt")
    for delivery in reversed(newest):
        row = (
            _format_time(delivery.time_ms),
            delivery.organization,
            delivery.route,
            delivery.type,
            delivery.state,
            str(delivery.attempts),
            delivery.said,
            _format_time(delivery.due_ms),
        )
        table.add_row(*(escape(cell or "") for cell in row))
    out.print(table)


@app.command()
def deliver() -> None:
    """Deliver alerts to all routes until SIGTERM or Ctrl-C. `tally up` runs this service.

    Example: tally alerts deliver

    Exit codes: 0 stopped, 2 another process of this home delivers already."""
    from alerting.worker import serve
    from tally.session import opened, settings

    config = settings()
    with opened(config, new=True) as log:
        serve(config, log)


def _describe(hook: "Route") -> dict[str, object]:
    from alerting.routes import mask_address

    return {
        "organization": hook.organization,
        "address": mask_address(hook.address),
        "format": "slack" if hook.channel == "slack" else "standard",
        "gone": hook.gone,
        "since": _format_time(hook.since_ms),
    }


def _format_time(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else alerts_route.format_time(moment_ms)
