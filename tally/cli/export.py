"""``tally export``: files that would make what the ledger holds."""

import json
import re
import sys
from typing import TYPE_CHECKING

import typer

from tally.cli.options import AsJson, Organization
from tally.output import print_json

if TYPE_CHECKING:
    from tally.product.registry.answers import Unowned

app = typer.Typer(no_args_is_help=True, help="Write what the ledger holds as a file.")
MAX_SUGGESTIONS = 20


@app.callback()
def group() -> None:
    pass


@app.command()
def registry(
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Print the YAML that makes registry and grants what they are, and as comments what nobody owns, with its amount.

    `tally plan` of this file says that nothing would change. Grants that are over are left out. To own what is in the
    comments, take the # away and name a team. Keys are fingerprints; a person has the name that this home knows, or the
    pseudonym.

    Example: tally export registry > registry.yaml

    Exit codes: 0 printed; 2 there is no log."""
    from datetime import UTC, datetime

    from ingest.controls.registry.declaration import GRANTS
    from ingest.controls.registry.export import build_sections, write_yaml
    from ingest.controls.registry.records import read_names, read_registry
    from tally.product.catch_up import warehouse_with_models
    from tally.product.grants.export import build_grants_section
    from tally.product.grants.persons import find_names
    from tally.product.grants.usage import read_grants
    from tally.product.registry.answers import read_unowned
    from tally.session import opened, settings
    from warehouse.client import connect

    config = settings(organization=organization)
    with warehouse_with_models(config):
        unowned = read_unowned(connect(config), config.organization)
    with opened(config) as log:
        content = read_registry(log, config.organization)
        grants = read_grants(log, config.organization)
    states = [step.state for timeline in content.values() for step in timeline if step.state is not None]
    names = read_names(config, config.organization, states)
    sections = build_sections(content, datetime.now(UTC), names)
    holders = find_names(config, (usage.grant.scope for usage in grants.usages))
    if rights := build_grants_section(grants, holders):
        sections |= {GRANTS: rights}
    if as_json:
        print_json({
            "organization": config.organization, "registry": sections, "unowned": [row.as_json() for row in unowned],
        })  # fmt: skip
        return
    title = f"# The registry of {config.organization}: `tally plan FILE`, `tally apply FILE`."
    lines = [title, write_yaml(sections).rstrip() or "teams: {}", *_suggest_owners(unowned)]
    sys.stdout.write("\n".join(lines) + "\n")


def _suggest_owners(unowned: "list[Unowned]") -> list[str]:
    """Write what nobody owns as comments, below the section that would own it."""
    from tally.product.registry.answers import format_cost

    lines = ["", "# Nobody owns this:"] if unowned else []
    for section in dict.fromkeys(row.section for row in unowned):
        rows = [row for row in unowned if row.section == section]
        lines.append("# by model:" if section == "models" else f"# {section}:")
        for row in rows[:MAX_SUGGESTIONS]:
            owner = "" if section == "models" else " TEAM"
            name = row.name if re.fullmatch(r"[\w./@-]+", row.name) else json.dumps(row.name, ensure_ascii=False)
            lines.append(f"#   {name}:{owner}  # {format_cost(row.billed_cost)} {row.currency}, {row.calls:,} calls")
        if len(rows) > MAX_SUGGESTIONS:
            lines.append(f"#   and {len(rows) - MAX_SUGGESTIONS} more: --json lists them all")
    return lines
