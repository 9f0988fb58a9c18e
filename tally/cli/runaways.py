"""``tally runaways``: the rules by which runaways are found."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tally.cli.options import AsJson, Organization
from tally.output import make_narrow_table, out, print_json

if TYPE_CHECKING:
    from tally.product.runaways.replay import Found, Runaway

app = typer.Typer(no_args_is_help=True, help="Runaways: the rules by which agents that loop are found.")
_FILE_HELP = "Rules in YAML (docs/runaways.md)."
ASSUMPTION = (
    "Both fold the whole log, and count runaways that were first told of in the period. Saved by a stop is what a "
    "runaway cost after it was a page."
)


@app.callback()
def group() -> None:
    pass


@app.command()
def rules(organization: Organization = None, as_json: AsJson = False) -> None:
    """Print the rules in force as YAML: each detector's threshold, and the loss above which a runaway is a page.

    Example: tally runaways rules > rules.yaml

    Exit codes: 0 printed."""
    from ingest.controls.runaway_rules import find_rules
    from ledger.runaway_rules import RunawayRules, write_rules
    from tally.session import opened, settings

    config = settings(organization=organization)
    with opened(config) as log:
        adoption = find_rules(log, config.organization)
    in_force = RunawayRules() if adoption is None else adoption.rules
    if as_json:
        document = None if adoption is None else adoption.document
        facts = {"organization": config.organization, "document": document}
        print_json(facts | {"rules": in_force.model_dump(mode="json")})
        return
    origin = "the default: none were adopted" if adoption is None else f"on the log at {adoption.position}"
    out.print(f"# rules of {config.organization}, {origin}", markup=False)
    out.print(write_rules(in_force), markup=False)


@app.command(no_args_is_help=True)
def adopt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=_FILE_HELP)],
    reason: Annotated[str | None, typer.Option(help="Reason; stored on the log.")] = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Judge an organization's later calls by these rules. What was told before stays as it is.

    Example: tally runaways adopt rules.yaml --reason "a loop may cost 20 dollars"

    Exit codes: 0 adopted, or in force already; 2 the file has no rules."""
    from ingest.controls.runaway_rules import adopt_rules
    from ledger.runaway_rules import read_rules_file
    from tally.session import opened, settings

    proposed = read_rules_file(file)
    config = settings(organization=organization)
    with opened(config, new=True) as log:
        adoption, is_new = adopt_rules(log, config, config.organization, proposed, reason)
    if as_json:
        facts = {"organization": config.organization, "document": adoption.document, "new": is_new}
        print_json(facts | {"partition": adoption.position.partition, "offset": adoption.position.offset})
        return
    status = "adopted" if is_new else "are already in force"
    out.print(f"Rules {status} in {config.organization}: document {adoption.document}", markup=False)


@app.command(no_args_is_help=True)
def replay(
    rules: Annotated[Path, typer.Option("--rules", metavar="FILE", help=_FILE_HELP)],
    period: Annotated[
        str | None, typer.Option(metavar="PERIOD", help="last-month (the default), this-month or a month: 2026-10.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First day or time, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="First day or time after it, UTC.")] = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Replay the log under proposed rules, and under today's: what each would have found and paged for in a period, and
    the money that a stop at the page would have saved. Nothing is written.

    Example: tally runaways replay --rules new.yaml --period last-month

    Exit codes: 0 replayed; 2 bad input."""
    from datetime import UTC, datetime

    from ledger.runaway_rules import read_rules_file
    from tally.cli.grant_replay import parse_period
    from tally.output import progress_bar
    from tally.product.runaways.replay import replay_rules
    from tally.session import opened, settings

    proposed = read_rules_file(rules)
    config = settings(organization=organization)
    first, behind = parse_period(period, start, end, datetime.now(UTC))
    with opened(config) as log, progress_bar() as bar:
        task = bar.add_task("folding", total=None)
        compared = replay_rules(log, config, proposed, first, behind, lambda count: bar.advance(task, count))
    found = {"today": compared.today, "proposed": compared.proposed}
    times = {"from": _write_time(first), "to": _write_time(behind)}
    if as_json:
        facts = {name: _list_facts(one) for name, one in found.items()}
        print_json({"organization": config.organization} | times | facts | {"assumption": ASSUMPTION})
        return
    out.print(f"Runaways of {config.organization} from {times['from']} to {times['to']}:", markup=False)
    table = make_narrow_table("Rules", ">Runaways", ">Pages", ">Spent in them", ">Saved by a stop")
    for name, one in found.items():
        amounts = (_write_amounts(one.spent), _write_amounts(one.saved))
        table.add_row(name, f"{len(one.runaways):,}", f"{len(one.pages):,}", *amounts)
    out.print(table)
    _print_pages(compared.proposed)
    out.print(ASSUMPTION, markup=False)


def _print_pages(found: "Found") -> None:
    from rich.markup import escape

    if not found.pages:
        out.print("The proposed rules page for nothing.")
        return
    out.print("Pages by the proposed rules:")
    table = make_narrow_table("Page", "Session", "Agent", "Detector", ">Calls", ">Spent", ">When paged")
    for runaway in found.pages:
        cells = [
            _write_moment(runaway.paged_us or 0), runaway.session, runaway.agent or "none", runaway.detector,
            f"{runaway.calls:,}", _write_amounts(runaway.spent), _write_amounts(runaway.spent_at_page),
        ]  # fmt: skip
        table.add_row(*map(escape, cells))
    out.print(table)


def _list_facts(found: "Found") -> dict[str, Any]:
    from ledger.money import brief, text

    def list_amounts(amounts: dict[str, int]) -> dict[str, str]:
        return {currency: brief(text(amount)) for currency, amount in amounts.items()}

    def list_runaway(runaway: "Runaway") -> dict[str, Any]:
        return {
            "detector": runaway.detector, "session": runaway.session, "agent": runaway.agent, "calls": runaway.calls,
            "raised_at": _write_moment(runaway.raised_us),
            "paged_at": None if runaway.paged_us is None else _write_moment(runaway.paged_us),
            "spent": list_amounts(runaway.spent), "spent_at_page": list_amounts(runaway.spent_at_page),
        }  # fmt: skip

    return {
        "rules": found.rules.model_dump(mode="json"), "pages": len(found.pages), "spent": list_amounts(found.spent),
        "saved": list_amounts(found.saved), "runaways": [list_runaway(runaway) for runaway in found.runaways],
    }  # fmt: skip


def _write_amounts(amounts: dict[str, int]) -> str:
    from ledger.money import brief, text

    return ", ".join(f"{brief(text(amount))} {currency}" for currency, amount in amounts.items()) or "nothing"


def _write_moment(moment_us: int) -> str:
    from tally.product.grants.text import write_moment

    return str(write_moment(moment_us))


def _write_time(moment: Any) -> str:
    return str(moment.isoformat().replace("+00:00", "Z"))
