"""``tally contract``: contracts of an organization with its providers, as control records on the log."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tally.cli.options import AsJson
from tally.output import err, make_table, out, print_json

if TYPE_CHECKING:
    from tally.product.contracts.usage import CommitmentUsage

app = typer.Typer(
    no_args_is_help=True, help="Contracts: discounts, negotiated rates and commitments of an organization."
)
_ORGANIZATION_HELP = "Organization (TALLY_ORGANIZATION)."


@app.callback()
def group() -> None:
    pass


@app.command(no_args_is_help=True)
def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Contract in YAML or JSON (docs/prices.md).")],
    reason: Annotated[str | None, typer.Option(help="Reason; stored on the log.")] = None,
    organization: Annotated[str | None, typer.Option("--organization", "--org", help=_ORGANIZATION_HELP)] = None,
    as_json: AsJson = False,
) -> None:
    """Price an organization's later calls by a contract. Signing another of the same name replaces it.

    Example: tally contract sign acme-2026.yaml --org acme

    Exit codes: 0 signed, or in force already; 2 the file is not a contract."""
    from ingest.controls.contracts import sign_contract
    from ledger.pricing.contract_file import read_contract_file
    from tally.product.name_warnings import list_contract_warnings
    from tally.session import opened, settings

    contract = read_contract_file(file)
    config = settings(organization=organization)
    with opened(config, new=True) as log:
        warnings = list_contract_warnings(contract, log)
        signing, is_new = sign_contract(log, config, config.organization, contract, reason)
    position = signing.position
    if as_json:
        facts = {"organization": config.organization, "name": contract.name, "document": signing.document}
        print_json(
            facts | {"new": is_new, "partition": position.partition, "offset": position.offset, "warnings": warnings}
        )
    else:
        status = "signed" if is_new else "is already in force"
        out.print(f"{contract.name} {status} in {config.organization}: document {signing.document}", markup=False)
        for warning in warnings:
            err.print(f"Warning: {warning}", markup=False)
        if is_new:
            _print_restatement_hint()


@app.command("list")
def list_(
    organization: Annotated[str | None, typer.Option("--organization", "--org", help=_ORGANIZATION_HELP)] = None,
    as_json: AsJson = False,
) -> None:
    """List the contracts of an organization that are in force: their terms and their commitments.

    Of two that are for a call, the one signed last decides.

    Example: tally contract list --org acme

    Exit codes: 0 listed, also where there are none."""
    from ingest.controls.contracts import find_contracts, load_contract
    from tally.product.contracts.text import describe_contract
    from tally.session import opened, settings

    config = settings(organization=organization)
    with opened(config) as log:
        signings = list(find_contracts(log, config.organization).values())
        contracts = [(signing, load_contract(log, signing)) for signing in signings]
    if as_json:
        print_json([
            {"name": signing.name, "document": signing.document, "partition": signing.position[0],
             "offset": signing.position[1], "contract": contract.model_dump(mode="json", exclude_none=True)}
            for signing, contract in contracts
        ])  # fmt: skip
        return
    for signing, contract in contracts:
        for line in describe_contract(contract):
            out.print(line, markup=False)
        out.print(f"  signed      on the log at {signing.position}, document {signing.document}", markup=False)
    if not signings:
        out.print(f"No contract is in force in {config.organization}. Sign one with `tally contract sign FILE`.")


@app.command(no_args_is_help=True)
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the contract.")],
    organization: Annotated[str | None, typer.Option("--organization", "--org", help=_ORGANIZATION_HELP)] = None,
    as_json: AsJson = False,
) -> None:
    """Show one contract in force: its terms, when it expires, and what its commitments have left.

    Of a commitment it shows what calls used in the present period, and the rest; of an expired contract in its last
    period. It folds the log of the organization's partition again, so it takes longer for a long log.

    Example: tally contract show acme-2026 --org acme

    Exit codes: 0 shown; 2 no contract of this name is in force."""
    from datetime import UTC, datetime

    from ingest.controls.contracts import find_contract, load_contract
    from tally.output import progress_bar
    from tally.product.contracts.text import describe_contract
    from tally.product.contracts.usage import describe_state, read_usage
    from tally.session import opened, settings

    config, now = settings(organization=organization), datetime.now(UTC)
    with opened(config) as log, progress_bar() as bar:
        signing = find_contract(log, config.organization, name)
        contract = load_contract(log, signing)
        task = bar.add_task("folding", total=None)
        usages = read_usage(log, config.organization, contract, now, lambda count: bar.advance(task, count))
    if as_json:
        print_json({
            "organization": config.organization, "name": name, "document": signing.document,
            "partition": signing.position.partition, "offset": signing.position.offset,
            "as_of": now.isoformat().replace("+00:00", "Z"),
            "contract": contract.model_dump(mode="json", exclude_none=True),
            "commitments": [usage.as_json() for usage in usages],
        })  # fmt: skip
        return
    for line in describe_contract(contract):
        out.print(line, markup=False)
    out.print(f"  signed      on the log at {signing.position}, document {signing.document}", markup=False)
    out.print(f"  state       {describe_state(contract, now)}", markup=False)
    _print_usages(usages)


@app.command(no_args_is_help=True)
def end(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the contract.")],
    reason: Annotated[str | None, typer.Option(help="Reason; stored on the log.")] = None,
    organization: Annotated[str | None, typer.Option("--organization", "--org", help=_ORGANIZATION_HELP)] = None,
    as_json: AsJson = False,
) -> None:
    """End a contract: later calls of the organization are priced without it.

    Example: tally contract end acme-2026 --org acme --reason "replaced by a new one"

    Exit codes: 0 ended; 2 no contract of this name is in force."""
    from ingest.controls.contracts import end_contract
    from tally.session import opened, settings

    config = settings(organization=organization)
    with opened(config) as log:
        position = end_contract(log, config, config.organization, name, reason)
    if as_json:
        facts = {"organization": config.organization, "name": name}
        print_json(facts | {"partition": position.partition, "offset": position.offset})
    else:
        out.print(f"{name} ended in {config.organization}. On the log at {position}.", markup=False)
        _print_restatement_hint()


def _print_restatement_hint() -> None:
    out.print("Calls before it keep their costs. See what it would change of them: `tally price restate --dry-run`")


def _print_usages(usages: "list[CommitmentUsage]") -> None:
    if not usages:
        out.print("It has no commitments.")
        return
    table = make_table("commitment", "period", ">size", ">used", ">left", ">used %")
    for usage in usages:
        start = "the beginning" if usage.start is None else f"{usage.start:%Y-%m-%d %H:%M}"
        end = "its end" if usage.end is None else f"{usage.end:%Y-%m-%d %H:%M}"
        figures = (usage.format_amount(amount) for amount in (usage.size, usage.used, usage.left))
        table.add_row(usage.name, f"{start} to {end}", *figures, str(usage.used_percent))
    out.print(table)
