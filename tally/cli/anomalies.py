"""``tally anomalies``."""

from typing import Annotated

import typer
from rich.markup import escape

from tally.cli.options import AsJson, Organization
from tally.output import make_table, out, print_json


def anomalies(
    kind: Annotated[str | None, typer.Option(help="Only this kind: spend, silence or saturation.")] = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """List what is out of the ordinary: spend of a team, model or key against its weekdays and trend, with its causes;
    sources, keys and gateways that fell silent; providers that refused calls for load.

    All of it is judged by the time of the events, up to the last of them. docs/anomalies.md has the rules.

    Example: tally anomalies --kind spend

    Exit codes: 0 listed, also where there are none; 2 bad input."""
    from tally.cli.arguments import parse_choice
    from tally.product.alerts.anomalies import KINDS, list_anomalies
    from tally.product.catch_up import warehouse_with_models
    from tally.session import settings
    from warehouse.client import connect

    kinds = list(KINDS) if kind is None else [parse_choice(kind, tuple(KINDS), "--kind")]
    config = settings()
    with warehouse_with_models(config):
        found = list_anomalies(connect(config), kinds, organization or config.organization)
    if as_json:
        print_json(found)
        return
    if not found:
        out.print(f"nothing out of the ordinary in {organization or config.organization!r}", markup=False)
        return
    table = make_table("detected", "kind", "what")
    for anomaly in found:
        kind_name = f"{anomaly['kind']} ({anomaly['direction']})" if "direction" in anomaly else anomaly["kind"]
        table.add_row(str(anomaly["detected_at"]), kind_name, escape(anomaly["text"]))
    out.print(table)
