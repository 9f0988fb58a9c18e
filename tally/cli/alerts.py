"""``tally alerts``: who is told of runaways and budgets, where, and what became of it."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tally.output import out, table, tell

if TYPE_CHECKING:
    from alerting.webhooks import Webhook

app = typer.Typer(no_args_is_help=True, help="Who is told of runaways and budgets, and what became of it.")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Whose = Annotated[str | None, typer.Option("--organization", help="Whose alerts (TALLY_ORGANIZATION).")]


@app.command(no_args_is_help=True)
def webhook(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where alerts are posted.")],
    organization: Whose = None,
    form: Annotated[
        str, typer.Option("--format", help="standard (Standard Webhooks, signed) or slack (an incoming webhook).")
    ] = "standard",
    as_json: AsJson = False,
) -> None:
    """Tell an organization's alerts and crossings there, from now on, in place of where they were told before.

    Prints the secret that signs them, this once. Try it with `tally alerts test`.

    Example: tally alerts webhook https://hooks.example.com/tally --organization acme

    Exit codes: 0 set, 2 bad input."""
    from contextlib import closing

    from alerting import webhooks
    from alerting.delivery_store import Deliveries
    from alerting.worker import begin
    from tally.cli.arguments import one_of
    from tally.session import opened, settings

    chosen, kind = settings(), one_of(form, webhooks.FORMATS, "--format")
    with opened(chosen, new=True) as log, closing(Deliveries(chosen.home)) as deliveries:
        if not webhooks.listed(chosen.home):
            begin(log, deliveries)
        made = webhooks.put(chosen.home, organization or chosen.organization, url, kind)
    if as_json:
        tell(_shown(made) | {"secret": made.secret})
    elif made.format == "standard":
        out.print(made.secret, markup=False, highlight=False, soft_wrap=True)
    else:
        out.print(f"{made.organization!r} is told there, in Slack's format", markup=False)


@app.command()
def webhooks(as_json: AsJson = False) -> None:
    """Every organization's webhook, without its secrets: of its address the host is shown, and a mark.

    Example: tally alerts webhooks

    Exit codes: 0 shown, 2 the file of webhooks is damaged or cannot be read."""
    from alerting.webhooks import listed
    from tally.session import settings

    found = listed(settings().home)
    if as_json:
        tell([_shown(one) for one in found.values()])
        return
    shown = table("organization", "address", "format", "since", "ended")
    for one in found.values():
        facts = _shown(one)
        shown.add_row(
            escape(one.organization), escape(str(facts["address"])), one.format, str(facts["since"]),
            escape(one.gone or ""),
        )  # fmt: skip
    out.print(shown)


@app.command()
def remove(organization: Whose = None, as_json: AsJson = False) -> None:
    """Tell an organization nothing more. What is pending for it is given up.

    Example: tally alerts remove --organization acme

    Exit codes: 0 removed, 2 it has no webhook."""
    from alerting.webhooks import remove as end
    from tally.session import settings

    chosen = settings()
    removed = end(chosen.home, organization or chosen.organization)
    if as_json:
        tell(_shown(removed))
    else:
        out.print(f"{removed.organization!r} is told nothing more", markup=False)


@app.command()
def test(organization: Whose = None, as_json: AsJson = False) -> None:
    """Send a test message to an organization's webhook now, and say what it answered.

    Example: tally alerts test --organization acme

    Exit codes: 0 it was taken, 1 it was not, 2 there is no webhook."""
    import secrets
    import time

    from alerting.channels.webhook import send
    from alerting.messages import trial
    from alerting.webhooks import mask_url, of
    from ledger.home.presence import announced
    from tally.session import settings

    chosen = settings()
    hook = of(chosen.home, organization or chosen.organization)
    message = trial(hook.organization, f"test-{secrets.token_hex(8)}", time.time_ns() // 1_000_000)
    answer = send(hook, message, (announced(chosen.home, "dashboards") or {}).get("url"))
    if as_json:
        tell({"id": message.id, "address": mask_url(hook.url), "delivered": answer.delivered, "answer": answer.said})
    else:
        out.print(f"{mask_url(hook.url)}: {answer.said}, {'taken' if answer.delivered else 'not taken'}", markup=False)
    if not answer.delivered:
        raise typer.Exit(1)


@app.command()
def deliveries(
    organization: Annotated[str | None, typer.Option(help="Only of this organization.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What was to be told, how often it was tried, and what was answered.

    Example: tally alerts deliveries --organization acme --limit 5

    Exit codes: 0 shown, 2 the file of deliveries is damaged or cannot be read."""
    from contextlib import closing

    from alerting.delivery_store import FILE, Deliveries, Delivery
    from tally.session import settings

    chosen = settings()
    found: list[Delivery] = []
    if (chosen.home / FILE).exists():
        with closing(Deliveries(chosen.home, writes=False)) as kept:
            found = kept.newest(organization, limit)
    if as_json:
        moments = ("time", "due", "ended")
        tell([one._asdict() | {name: _time(getattr(one, f"{name}_ms")) for name in moments} for one in found])
        return
    shown = table("at", "organization", "what", "state", ">attempts", "answer", "next")
    for one in reversed(found):
        row = (
            _time(one.time_ms),
            one.organization,
            one.type,
            one.state,
            str(one.attempts),
            one.said,
            _time(one.due_ms),
        )
        shown.add_row(*(escape(cell or "") for cell in row))
    out.print(shown)


@app.command()
def deliver() -> None:
    """Deliver alerts and crossings to the webhooks until SIGTERM or Ctrl-C. `tally up` runs it.

    Example: tally alerts deliver

    Exit codes: 0 stopped, 2 another process of this home delivers."""
    from alerting.worker import serve
    from tally.session import opened, settings

    chosen = settings()
    with opened(chosen, new=True) as log:
        serve(chosen, log)


def _shown(hook: "Webhook") -> dict[str, object]:
    from alerting.webhooks import mask_url

    kept: dict[str, object] = {
        "organization": hook.organization,
        "address": mask_url(hook.url),
        "format": hook.format,
        "gone": hook.gone,
    }
    return kept | {"since": _time(hook.since_ms)}


def _time(moment_ms: int | None) -> str | None:
    from datetime import UTC, datetime

    if moment_ms is None:
        return None
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
