"""``tally alerts list`` and ``show``: alerts, what they cost, and who looks after them."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tally.cli.options import AsJson
from tally.output import make_table, out, print_json

if TYPE_CHECKING:
    from tally.product.alerts.states import AlertState

OrganizationFilter = Annotated[
    str | None, typer.Option("--organization", "--org", help="Only this organization.")
]  # fmt: skip


def list_(
    organization: OrganizationFilter = None,
    every: Annotated[bool, typer.Option("--all", help="Also alerts that are over, and those of the past.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of alerts, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List active alerts of all organizations, the one that costs most an hour first.

    Example: tally alerts list --org acme

    Exit codes: 0 listed, 2 there is no log."""
    from tally.product.alerts.states import list_alerts
    from tally.session import opened, settings

    config = settings()
    with opened(config) as log:
        alerts = list_alerts(log, config, organization, every, limit)
    if as_json:
        print_json([alert.as_json() for alert in alerts])
        return
    if not alerts:
        whose = f" of {organization}" if organization else ""
        rest = "" if every else "; --all shows those that are over"
        out.print(f"No alert{whose} {'was raised' if every else 'is active'}{rest}.", markup=False)
        return
    table = make_table(
        "alert", "organization", "state", "severity", "since", ">spent", ">an hour", "team", "owner", "on call"
    )
    for alert in alerts:
        cells = (
            alert.alert, alert.organization, alert.state, alert.severity, alert.since, alert.spent, alert.per_hour,
            alert.team, alert.owner, alert.on_call,
        )  # fmt: skip
        table.add_row(*(escape(cell or "") for cell in cells))
    out.print(table)


def show(
    alert: Annotated[str, typer.Argument(metavar="ALERT", help="Id of the alert.")],
    organization: OrganizationFilter = None,
    as_json: AsJson = False,
) -> None:
    """Show one alert: what repeats, since when, what it costs, whose it is, and what was done about it.

    Example: tally alerts show 3-17-0-repeated_tool

    Exit codes: 0 shown, 2 there is no such alert."""
    from tally.product.alerts.states import find_alert
    from tally.session import opened, settings

    config = settings()
    with opened(config) as log:
        state = find_alert(log, config, alert, organization)
    if as_json:
        print_json(state.as_json())
        return
    for name, value in _list_facts(state):
        out.print(f"{name:<12}  {value}", markup=False, soft_wrap=True)


def _list_facts(alert: "AlertState") -> list[tuple[str, str]]:
    facts = [
        ("alert", alert.alert), ("organization", alert.organization), ("state", alert.state),
        ("severity", alert.severity), ("what", alert.sentence), ("since", alert.since), ("last call", alert.last),
        ("spent", alert.spent), ("an hour", alert.per_hour), ("team", alert.team), ("owner", alert.owner),
        ("on call", alert.on_call), ("label", alert.label), ("page", alert.link),
        *(("done", str(step)) for step in alert.handling),
    ]  # fmt: skip
    return [(name, value) for name, value in facts if value]
