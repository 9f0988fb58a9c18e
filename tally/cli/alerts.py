"""``tally alerts``: webhooks for runaway and budget alerts, and their deliveries."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tally.cli.options import AsJson
from tally.output import make_table, out, print_json

if TYPE_CHECKING:
    from alerting.webhooks import Webhook

app = typer.Typer(no_args_is_help=True, help="Webhooks for runaway and budget alerts, and their deliveries.")
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
    """Set the webhook of an organization: its runaway and budget alerts go there from now on.

    It replaces the organization's webhook, if there is one. Prints the signing secret once. Test it with
    `tally alerts test`.

    Example: tally alerts webhook https://hooks.example.com/tally --organization acme

    Exit codes: 0 set, 2 bad input."""
    from contextlib import closing

    from alerting import webhooks
    from alerting.delivery_store import Deliveries
    from alerting.worker import begin_at_end
    from tally.cli.arguments import parse_choice
    from tally.session import opened, settings

    config, kind = settings(), parse_choice(form, webhooks.FORMATS, "--format")
    with opened(config, new=True) as log, closing(Deliveries(config.home)) as deliveries:
        if not webhooks.list_webhooks(config.home):
            begin_at_end(log, deliveries)
        hook = webhooks.put(config.home, organization or config.organization, url, kind)
    if as_json:
        print_json(_describe(hook) | {"secret": hook.secret})
    elif hook.format == "standard":
        out.print(hook.secret, markup=False, highlight=False, soft_wrap=True)
    else:
        out.print(f"Set the webhook of {hook.organization!r}, in Slack's format", markup=False)


@app.command()
def webhooks(as_json: AsJson = False) -> None:
    """List the webhooks of all organizations. Of each address, only the host and a mark are shown.

    Example: tally alerts webhooks

    Exit codes: 0 listed, 2 the file of webhooks is damaged or cannot be read."""
    from alerting.webhooks import list_webhooks
    from tally.session import settings

    hooks = list_webhooks(settings().home)
    if as_json:
        print_json([_describe(hook) for hook in hooks.values()])
        return
    table = make_table("organization", "address", "format", "since", "ended")
    for hook in hooks.values():
        facts = _describe(hook)
        table.add_row(
            escape(hook.organization), escape(str(facts["address"])), hook.format, str(facts["since"]),
            escape(hook.gone or ""),
        )  # fmt: skip
    out.print(table)


@app.command()
def remove(organization: OrganizationOption = None, as_json: AsJson = False) -> None:
    """Remove the webhook of an organization. Its pending deliveries are canceled.

    Example: tally alerts remove --organization acme

    Exit codes: 0 removed, 2 the organization has no webhook."""
    from alerting.webhooks import remove as end
    from tally.session import settings

    config = settings()
    removed = end(config.home, organization or config.organization)
    if as_json:
        print_json(_describe(removed))
    else:
        out.print(f"Removed the webhook of {removed.organization!r}", markup=False)


@app.command()
def test(organization: OrganizationOption = None, as_json: AsJson = False) -> None:
    """Send a test message to an organization's webhook, and show the answer.

    Example: tally alerts test --organization acme

    Exit codes: 0 delivered, 1 not delivered, 2 the organization has no webhook."""
    import secrets
    import time

    from alerting.channels.webhook import send
    from alerting.messages import create_test_message
    from alerting.webhooks import get_webhook, mask_url
    from ledger.home.presence import find_presence
    from tally.session import settings

    config = settings()
    hook = get_webhook(config.home, organization or config.organization)
    message = create_test_message(hook.organization, f"test-{secrets.token_hex(8)}", time.time_ns() // 1_000_000)
    answer = send(hook, message, (find_presence(config.home, "dashboards") or {}).get("url"))
    if as_json:
        print_json(
            {"id": message.id, "address": mask_url(hook.url), "delivered": answer.delivered, "answer": answer.status}
        )
    else:
        out.print(
            f"{mask_url(hook.url)}: {answer.status}, {'delivered' if answer.delivered else 'not delivered'}",
            markup=False,
        )
    if not answer.delivered:
        raise typer.Exit(1)


@app.command()
def deliveries(
    organization: Annotated[str | None, typer.Option("--organization", "--org", help="Only this organization.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of deliveries, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show deliveries of alerts: state, number of attempts, last answer, next attempt.

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
    table = make_table("time", "organization", "type", "state", ">attempts", "answer", "next attempt")
    for delivery in reversed(newest):
        row = (
            _format_time(delivery.time_ms),
            delivery.organization,
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
    """Deliver alerts to the webhooks until SIGTERM or Ctrl-C. `tally up` runs this service.

    Example: tally alerts deliver

    Exit codes: 0 stopped, 2 another process of this home delivers already."""
    from alerting.worker import serve
    from tally.session import opened, settings

    config = settings()
    with opened(config, new=True) as log:
        serve(config, log)


def _describe(hook: "Webhook") -> dict[str, object]:
    from alerting.webhooks import mask_url

    facts: dict[str, object] = {
        "organization": hook.organization,
        "address": mask_url(hook.url),
        "format": hook.format,
        "gone": hook.gone,
    }
    return facts | {"since": _format_time(hook.since_ms)}


def _format_time(moment_ms: int | None) -> str | None:
    from datetime import UTC, datetime

    if moment_ms is None:
        return None
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
