"""``tally grant replay``: what proposed grants would have refused."""

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tally.cli.options import AsJson, Organization
from tally.output import make_narrow_table, out, print_json

if TYPE_CHECKING:
    from tally.product.grants.declaration import DeclaredGrant
    from tally.product.grants.replay import Group, Report

ASSUMPTIONS = (
    "Each call is an ask of what it used, in the order of their times. The grants begin with the period, with nothing "
    "used. A refused call costs nothing; calls that were made again in its place stay."
)
REFUSING = ("deny", "throttle")


def replay(
    grants: Annotated[Path, typer.Option(metavar="FILE", help="YAML file with a section grants; docs/grants.md.")],
    period: Annotated[
        str | None, typer.Option(metavar="PERIOD", help="last-month (the default), this-month or a month: 2026-10.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First day or time, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="First day or time after it, UTC.")] = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Replay the calls of a period under proposed grants, in place of today's: who would have been refused, when first,
    how many calls, and what would have been saved. Nothing is written.

    Each call is an ask of what it used. The grants begin with the period, with nothing used. A refused call costs
    nothing; calls that were made again in its place stay.

    Example: tally grant replay --grants proposed.yaml --period last-month

    Exit codes: 0 replayed; 2 bad input."""
    from tally.output import progress_bar
    from tally.product.grants.replay import replay_grants
    from tally.session import opened, settings

    config = settings(organization=organization)
    first, behind = parse_period(period, start, end, datetime.now(UTC))
    declared = _read_grants(grants)
    with opened(config) as log, progress_bar() as bar:
        task = bar.add_task("folding", total=None)
        report = replay_grants(log, config, declared, first, behind, lambda count: bar.advance(task, count))
    if as_json:
        facts = {"organization": config.organization, "from": _write_time(first), "to": _write_time(behind)}
        print_json(facts | _list_facts(report) | {"assumptions": ASSUMPTIONS})
        return
    out.print(
        f"Calls of {config.organization} from {_write_time(first)} to {_write_time(behind)}: {report.calls:,}; allowed "
        f"{report.allowed:,}, refused {report.calls - report.allowed:,}.",
        markup=False,
    )
    _print_groups("Refused:", report.list_groups(*REFUSING))
    _print_groups("Allowed on a cheaper model:", report.list_groups("downgrade"))
    _print_groups("Allowed without room, by limits that only warn:", report.list_groups("warn"))
    for currency, (billed, notional) in _sum_savings(report).items():
        out.print(f"Saved: {billed} {currency} billed, {notional} {currency} at list price.", markup=False)
    out.print(ASSUMPTIONS, markup=False)


def parse_period(period: str | None, start: str | None, end: str | None, now: datetime) -> tuple[datetime, datetime]:
    """Parse a period, or its first moment and the first one after it. TallyError where these are none."""
    from ledger.errors import TallyError
    from tally.cli.arguments import parse_time

    if start is not None or end is not None:
        if period is not None:
            raise TallyError(f"--period {period} and --from or --to name two periods: leave one of them out")
        if start is None or end is None:
            raise TallyError("--from and --to go together: give the first day, and the first day after the period")
        first, behind = (
            datetime.fromisoformat(parse_time(text, option)).astimezone(UTC)
            for text, option in ((start, "--from"), (end, "--to"))
        )
        if first >= behind:
            raise TallyError(f"--from {start} is not before --to {end}, so no call lies between: swap them")
        return first, behind
    month = now.strftime("%Y-%m") if period == "this-month" else period
    if month in (None, "last-month"):
        behind = datetime(now.year, now.month, 1, tzinfo=UTC)
        return datetime(behind.year - (now.month == 1), (now.month - 2) % 12 + 1, 1, tzinfo=UTC), behind
    if not re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", month or ""):
        raise TallyError(f"--period is {period!r}: write last-month, this-month or a month, for example 2026-10")
    first = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
    return first, datetime(first.year + (first.month == 12), first.month % 12 + 1, 1, tzinfo=UTC)


def _read_grants(path: Path) -> "list[DeclaredGrant]":
    from ingest.controls.registry.declaration import GRANTS, read_sections
    from ingest.controls.registry.records import read_file
    from ledger.errors import TallyError
    from tally.cli.grant_file import read_grants_section

    sections = read_sections(read_file(path), str(path))
    if GRANTS not in sections:
        raise TallyError(f"{path} has no section grants: write one, as `tally export registry` does")
    return read_grants_section(sections[GRANTS])


def _print_groups(title: str, groups: "list[Group]") -> None:
    from rich.markup import escape

    from ledger.money import brief, text
    from tally.product.grants.text import SECOND_US, describe_moment

    if not groups:
        return
    out.print(title)
    has_savings = any(group.answer != "warn" for group in groups)
    costs = (">Billed saved", ">List saved") if has_savings else ()
    table = make_narrow_table("Grant", "Whose calls", "Because", ">Calls", "First", *costs)
    for group in groups:
        reason = f"{group.model}" if group.model is not None else group.reason
        reason += " (throttled)" if group.answer == "throttle" else ""
        moment = describe_moment(group.first_us // SECOND_US * SECOND_US)
        savings = [
            ", ".join(f"{brief(text(cost))} {currency}" for currency, cost in amounts.items()) or "unknown"
            for amounts in (group.billed, group.notional)
        ]
        if group.unknown_calls and group.billed:
            savings = [f"{saving} and {group.unknown_calls:,} calls of unknown cost" for saving in savings]
        cells = [group.grant, group.holder, reason, f"{group.calls:,}", moment, *(savings if has_savings else ())]
        table.add_row(*map(escape, cells))
    out.print(table)


def _sum_savings(report: "Report") -> dict[str, tuple[str, str]]:
    """Sum what would have been saved by currency, billed and at list price."""
    from ledger.money import brief, text

    billed, notional = Counter[str](), Counter[str]()
    for group in report.list_groups(*REFUSING, "downgrade"):
        billed.update(group.billed)
        notional.update(group.notional)
    return {currency: (brief(text(billed[currency])), brief(text(notional[currency]))) for currency in notional}


def _list_facts(report: "Report") -> dict[str, Any]:
    saved = {
        currency: {"billed": billed, "list": notional} for currency, (billed, notional) in _sum_savings(report).items()
    }
    groups = {
        name: [_list_group(group) for group in report.list_groups(*answers)]
        for name, answers in (("refused", REFUSING), ("downgraded", ("downgrade",)), ("warned", ("warn",)))
    }
    return {"calls": report.calls, "allowed": report.allowed, "saved": saved, **groups}


def _list_group(group: "Group") -> dict[str, Any]:
    from ledger.money import brief, text
    from tally.product.grants.text import write_moment

    return {
        "grant": group.grant, "holder": group.holder, "answer": group.answer, "reason": group.reason or None,
        "model": group.model, "calls": group.calls, "first_at": write_moment(group.first_us),
        "last_at": write_moment(group.last_us),
        "saved_billed": {currency: brief(text(cost)) for currency, cost in group.billed.items()},
        "saved_list": {currency: brief(text(cost)) for currency, cost in group.notional.items()},
        "calls_of_unknown_cost": group.unknown_calls,
    }  # fmt: skip


def _write_time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
