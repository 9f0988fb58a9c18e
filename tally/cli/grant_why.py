"""``tally grant why``: why an admission was allowed, downgraded, throttled or denied."""

from typing import Annotated

import typer

from tally.cli.options import AsJson, Organization
from tally.output import make_narrow_table, out, print_json


def explain(
    admission: Annotated[
        str, typer.Argument(metavar="ID", help="Id of the ask: `admission` or `lease` of its answer.")
    ],
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Explain an admission or a lease: what was asked, which grants and limits decided, and what was used, reserved,
    leased and left of them at that moment; whether asking again helps; who can raise it, by which command; and what
    came after: settlements, calls of unknown cost, corrections.

    The log is folded again, so it takes longer for a long log.

    Example: tally grant why 6f0c5a0e-2c1d-4a55-9d0e-6a3f6f1f7b11

    Exit codes: 0 explained; 2 nobody asked for it."""
    from rich.markup import escape

    from tally.output import progress_bar
    from tally.product.grants.explanation import explain_admission
    from tally.product.grants.explanation_text import describe_explanation, format_asked, list_explanation_facts
    from tally.product.grants.persons import find_names
    from tally.product.grants.text import describe_at_limit, describe_refill, format_amount, format_limit
    from tally.session import opened, settings

    config = settings(organization=organization)
    with opened(config) as log, progress_bar() as bar:
        task = bar.add_task("folding", total=None)
        explanation = explain_admission(log, config.organization, admission, lambda count: bar.advance(task, count))
    if as_json:
        print_json({"organization": config.organization} | list_explanation_facts(explanation))
        return
    persons = (explanation.decision.get("granted_by"), explanation.ask.get("user"), explanation.ask.get("customer"))
    for line in describe_explanation(explanation, find_names(config, persons)):
        out.print(line, markup=False)
    if not explanation.limits:
        out.print("No limit was on its way.")
        return
    out.print("Its limits, as the ask met them:")
    table = make_narrow_table(
        "Grant", "Limit", ">Asked", ">Used", ">Reserved", ">Leased", ">Left", "Room", "Refills", "At limit"
    )
    for limit in explanation.limits:
        usage = limit.usage
        figures = [format_amount(usage.limit, getattr(usage, name)) for name in ("used", "reserved", "leased", "left")]
        words = ["yes" if limit.has_room else "no", describe_refill(usage), describe_at_limit(usage.limit)]
        cells = [limit.grant, format_limit(usage.limit), format_asked(limit), *figures, *words]
        table.add_row(*map(escape, cells))
    out.print(table)
