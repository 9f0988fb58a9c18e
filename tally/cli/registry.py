"""``tally plan``, ``apply`` and ``as-of``: a file that declares who owns what, and what was so at any time."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tally.cli.options import Actor, AsJson, Organization
from tally.output import NO_CURRENCY, make_table, out, print_json

if TYPE_CHECKING:
    from datetime import datetime

    from ingest.controls.registry.records import Plan
    from ledger.log import Log
    from ledger.settings import Settings
    from tally.product.grants.apply import GrantOutcome
    from tally.product.grants.declaration import DeclaredGrant

File = Annotated[Path, typer.Argument(help="YAML file that declares registry and grants; docs/registry.md.")]


def plan(file: File, organization: Organization = None, as_json: AsJson = False) -> None:
    """Show what `tally apply FILE` would add, change and end. Nothing is appended.

    FILE declares teams, projects, features and services with their people and cost centers; keys, provider accounts and
    agents with the team that owns each; agreements and exchange rates. What it does not name ends.

    It may declare grants too. Their changes are tried on the folds, which say what would have no effect, and why. A
    grant that an apply created or changed, and that FILE no longer names, is revoked for ever.

    Example: tally plan registry.yaml

    Exit codes: 0 nothing would change, 2 something would, 1 an error."""
    from ledger.errors import TallyError
    from tally.exit import Failure
    from tally.product.registry.changes import count_changes, describe_changes
    from tally.session import settings

    try:
        config = settings(organization=organization)
        declared, is_registry = _read_grants(file)
        changes, grants = _plan(config, file, declared)
    except TallyError as error:
        raise Failure(str(error)) from None
    if as_json:
        print_json(_build_facts(changes, file) | _build_grant_facts(grants))
    else:
        for line in describe_changes(changes):
            out.print(line, markup=False)
        if is_registry:
            out.print(_summarize(count_changes(changes), "to add", "to change", "to end"), markup=False)
        if grants is not None:
            _print_grants(grants, is_applied=False)
    if changes.changes or (grants is not None and grants.records):
        raise typer.Exit(2)


def apply(
    file: File,
    reason: Annotated[str | None, typer.Option(help="Reason; stored on the log.")] = None,
    actor: Actor = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Make registry and grants what FILE declares: append a control record for each change that `tally plan` shows.

    Each holds from its `from` on, or from now, and is known from its position on the log. No entry is rewritten: a team
    is found for it when it is read. The same FILE again appends nothing.

    Changes of grants wait for the folds' answers, and each is printed.

    Example: tally apply registry.yaml --reason "reorganization of October"

    Exit codes: 0 applied, or nothing to change; 1 a grant's change has no effect, and why; 2 bad input, and nothing is
    appended."""
    from ingest.controls.registry.records import apply_file
    from tally.exit import Failure
    from tally.product.grants.apply import apply_grants, try_grants
    from tally.product.grants.persons import find_actor
    from tally.product.registry.changes import count_changes, describe_changes
    from tally.session import opened, settings

    config, grants = settings(organization=organization), None
    declared, is_registry = _read_grants(file)
    with opened(config, new=True) as log:
        if declared is not None:
            try_grants(log, config, declared)  # what is wrong with them is said before anything is appended
        changes, positions = apply_file(log, config, file, config.organization, reason, find_actor(actor))
        if declared is not None:
            grants = apply_grants(log, config, declared, reason, find_actor(actor))
    places = list(map(str, positions))
    if as_json:
        print_json(_build_facts(changes, file) | {"positions": places} | _build_grant_facts(grants))
    else:
        for line in describe_changes(changes):
            out.print(line, markup=False)
        if is_registry:
            out.print(_summarize(count_changes(changes), "added", "changed", "ended"), markup=False)
        if places:
            last = f" to {places[-1]}" if len(places) > 1 else ""
            out.print(f"On the log at {places[0]}{last}.", markup=False)
        if grants is not None:
            _print_grants(grants, is_applied=True)
    if grants is not None and grants.ineffective:
        names = ", ".join(dict.fromkeys(outcome.record.grant for outcome in grants.ineffective))
        raise Failure(f"changes without effect, of these grants: {names}. `tally plan {file}` shows what is left to do")


def as_of(
    date: Annotated[str, typer.Argument(metavar="DATE", help="Day or time in UTC; a day is its midnight.")],
    known: Annotated[
        str | None, typer.Option(metavar="DATE", help="As it was known then; now without it. A day is its midnight.")
    ] = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Print the registry as it was at a time, and as it was known at another, with the spend of that month by team.

    What was declared later with an earlier `from` is part of the answer, unless --known asks for what was known before.
    The spend is that of the calls, corrections and owners known then; each call has the owner of its own time. What
    nobody owns is the row (unowned).

    Example: tally as-of 2026-10-01 --known 2026-10-15

    Exit codes: 0 printed; 2 bad input, or there is no log."""
    from datetime import datetime

    from ledger.money import brief
    from tally.cli.arguments import parse_time
    from tally.product.catch_up import warehouse_with_models
    from tally.product.registry.answers import read_as_of, read_spend
    from tally.session import settings
    from warehouse.client import connect

    moment = datetime.fromisoformat(parse_time(date, "DATE"))
    known_at = None if known is None else datetime.fromisoformat(parse_time(known, "--known"))
    config = settings(organization=organization)
    with warehouse_with_models(config):
        client = connect(config)
        answer = read_as_of(client, config.organization, moment, known_at)
        spend = read_spend(client, config.organization, f"{moment:%Y-%m}", known_at)
    facts = {"organization": config.organization, "as_of": moment.isoformat()}
    facts["known"] = "now" if known_at is None else known_at.isoformat()
    if as_json:
        print_json(facts | answer | {"month": f"{moment:%Y-%m}", "spend": [row.as_json() for row in spend]})
        return
    out.print(f"Registry of {facts['organization']} as of {facts['as_of']}, known {facts['known']}.", markup=False)
    _print_answer(config, answer, known_at)
    if not spend:
        out.print(_describe_absent_spend(f"{moment:%Y-%m}", known_at), markup=False)
    else:
        table = make_table("Owner", "Currency", ">Calls", ">Tokens", ">Billed cost")
        for row in spend:
            cost = brief(str(row.billed_cost)) if row.currency else "–"  # unknown usage is never free
            table.add_row(
                row.team or "(unowned)", row.currency or NO_CURRENCY, f"{row.calls:,}", f"{row.tokens:,}", cost
            )
        out.print(f"Spend of {moment:%Y-%m}, known {facts['known']}.", markup=False)
        out.print(table)


def _describe_absent_spend(month: str, known_at: "datetime | None") -> str:
    if known_at is None:
        return f"No spend of {month}: no call of that month counts."
    return f"No spend of {month} was known then: no call of that month counted by {known_at.isoformat()}."


def _print_answer(config: "Settings", answer: dict[str, list[dict[str, Any]]], known_at: "datetime | None") -> None:
    from ingest.controls.registry.records import read_names

    names = read_names(config, config.organization, answer["scopes"])
    for title, rows in answer.items():
        if not rows:
            continue
        columns = [column for column in rows[0] if any(row[column] not in ("", None, []) for row in rows)]
        table = make_table(*(column.replace("scope_value", "scope").replace("_", " ") for column in columns))
        for row in rows:
            table.add_row(*(_format_cell(row[column], names) for column in columns))
        out.print(f"{title.replace('_', ' ').capitalize()}.", markup=False)
        out.print(table)
    if not any(answer.values()):
        if known_at is None:
            out.print("Nothing is declared then: `tally apply FILE` declares it.", markup=False)
        else:
            out.print(
                "Nothing was declared as it was known then: without --known, the answer has what was declared since.",
                markup=False,
            )


def _format_cell(value: Any, names: dict[str, str]) -> str:
    from datetime import datetime

    from rich.markup import escape

    from tally.product.registry.changes import format_time

    if isinstance(value, datetime):
        return format_time(value)
    text = " ".join(value) if isinstance(value, list) else "" if value is None else str(value)
    return escape(names.get(text, text))


def _read_grants(file: Path) -> "tuple[list[DeclaredGrant] | None, bool]":
    """Read the grants of a file, None where it leaves them as they are; and tell whether it declares the registry."""
    from ingest.controls.registry.declaration import GRANTS, has_registry, read_sections
    from ingest.controls.registry.records import read_file
    from tally.cli.grant_file import read_grants_section

    sections = read_sections(read_file(file), str(file))
    declared = read_grants_section(sections[GRANTS]) if GRANTS in sections else None
    return declared, has_registry(sections)


def _plan(config: "Settings", file: Path, declared: "list[DeclaredGrant] | None") -> "tuple[Plan, GrantOutcome | None]":
    from ingest.controls.registry.records import plan_file
    from tally.product.grants.apply import try_grants
    from tally.session import opened

    def plan_all(log: "Log | None") -> "tuple[Plan, GrantOutcome | None]":
        changes = plan_file(log, config, file, config.organization)
        return changes, None if declared is None else try_grants(log, config, declared)

    if config.log is None and not (config.home / "log").is_dir():
        return plan_all(None)
    with opened(config) as log:
        return plan_all(log)


def _print_grants(grants: "GrantOutcome", *, is_applied: bool) -> None:
    from tally.product.grants.plan_text import describe_records, summarize_records

    for line in describe_records(grants, is_applied=is_applied):
        out.print(line, markup=False)
    out.print(summarize_records(grants, is_applied=is_applied), markup=False)


def _build_grant_facts(grants: "GrantOutcome | None") -> dict[str, Any]:
    from tally.product.grants.plan_text import count_records, list_records

    if grants is None:
        return {}
    return {"grants": list_records(grants), "grant_summary": count_records(grants), "other_grants": grants.foreign}


def _build_facts(changes: "Plan", file: Path) -> dict[str, Any]:
    from tally.product.registry.changes import count_changes, list_changes

    return {
        "organization": changes.organization, "file": str(file), "changes": list_changes(changes),
        "summary": count_changes(changes),
    }  # fmt: skip


def _summarize(counts: dict[str, int], *verbs: str) -> str:
    if not any(counts.values()):
        return "No changes: the registry is what the file declares."
    return ", ".join(f"{count} {verb}" for count, verb in zip(counts.values(), verbs, strict=True)) + "."
