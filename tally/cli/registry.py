"""``tally plan`` and ``tally apply``: a file that declares who owns what, as control records on the log."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tally.output import out, print_json

if TYPE_CHECKING:
    from ingest.controls.registry.records import Plan
    from ledger.settings import Settings

File = Annotated[Path, typer.Argument(help="YAML file that declares the whole registry; docs/registry.md.")]
Organization = Annotated[str | None, typer.Option(help="Organization (TALLY_ORGANIZATION).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def plan(file: File, organization: Organization = None, as_json: AsJson = False) -> None:
    """Show what `tally apply FILE` would add, change and end. Nothing is appended.

    FILE declares teams, projects, features and services with their people and cost centers; keys, provider accounts and
    agents with the team that owns each; agreements and exchange rates. What it does not name ends.

    Example: tally plan registry.yaml

    Exit codes: 0 nothing would change, 2 something would, 1 an error."""
    from ledger.errors import TallyError
    from tally.exit import Failure
    from tally.product.registry_changes import count_changes, describe_changes
    from tally.session import settings

    try:
        config = settings(organization=organization)
        changes = _plan(config, file)
    except TallyError as error:
        raise Failure(str(error)) from None
    if as_json:
        print_json(_build_facts(changes, file))
    else:
        for line in describe_changes(changes):
            out.print(line, markup=False)
        out.print(_summarize(count_changes(changes), "to add", "to change", "to end"), markup=False)
    if changes.changes:
        raise typer.Exit(2)


def apply(
    file: File,
    reason: Annotated[str | None, typer.Option(help="Reason; stored on the log.")] = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Make the registry what FILE declares: append a control record for each change that `tally plan` shows.

    Each holds from its `from` on, or from now, and is known from its position on the log. No entry is rewritten: a team
    is found for it when it is read. The same FILE again appends nothing.

    Example: tally apply registry.yaml --reason "reorganization of October"

    Exit codes: 0 applied, or nothing to change; 2 bad input, and nothing is appended."""
    from ingest.controls.registry.records import apply_file
    from tally.product.registry_changes import count_changes, describe_changes
    from tally.session import opened, settings

    config = settings(organization=organization)
    with opened(config, new=True) as log:
        changes, positions = apply_file(log, config, file, config.organization, reason)
    places = [f"{position.partition}:{position.offset}:{position.event_index}" for position in positions]
    if as_json:
        print_json(_build_facts(changes, file) | {"positions": places})
        return
    for line in describe_changes(changes):
        out.print(line, markup=False)
    out.print(_summarize(count_changes(changes), "added", "changed", "ended"), markup=False)
    if places:
        last = f" to {places[-1]}" if len(places) > 1 else ""
        out.print(f"On the log at {places[0]}{last}.", markup=False)


def _plan(config: "Settings", file: Path) -> "Plan":
    from ingest.controls.registry.records import plan_file
    from tally.session import opened

    if config.log is None and not (config.home / "log").is_dir():
        return plan_file(None, config, file, config.organization)
    with opened(config) as log:
        return plan_file(log, config, file, config.organization)


def _build_facts(changes: "Plan", file: Path) -> dict[str, Any]:
    from tally.product.registry_changes import count_changes, list_changes

    return {
        "organization": changes.organization, "file": str(file), "changes": list_changes(changes),
        "summary": count_changes(changes),
    }  # fmt: skip


def _summarize(counts: dict[str, int], *verbs: str) -> str:
    if not any(counts.values()):
        return "No changes: the registry is what the file declares."
    return ", ".join(f"{count} {verb}" for count, verb in zip(counts.values(), verbs, strict=True)) + "."
