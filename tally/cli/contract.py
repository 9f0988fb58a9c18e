"""``tally contract``: contracts of an organization with its providers, as control records on the log."""

from pathlib import Path
from typing import Annotated

import typer

from tally.output import err, out, print_json

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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
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
    partition, offset, _ = signing.position
    if as_json:
        facts = {"organization": config.organization, "name": contract.name, "document": signing.document}
        print_json(facts | {"new": is_new, "partition": partition, "offset": offset, "warnings": warnings})
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
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
        partition, offset, _ = signing.position
        out.print(f"  signed      on the log at {partition}:{offset}, document {signing.document}", markup=False)
    if not signings:
        out.print(f"No contract is in force in {config.organization}. Sign one with `tally contract sign FILE`.")


@app.command(no_args_is_help=True)
def end(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the contract.")],
    reason: Annotated[str | None, typer.Option(help="Reason; stored on the log.")] = None,
    organization: Annotated[str | None, typer.Option("--organization", "--org", help=_ORGANIZATION_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """End a contract: later calls of the organization are priced without it.

    Example: tally contract end acme-2026 --org acme --reason "replaced by a new one"

    Exit codes: 0 ended; 2 no contract of this name is in force."""
    from ingest.controls.contracts import end_contract
    from tally.session import opened, settings

    config = settings(organization=organization)
    with opened(config) as log:
        partition, offset, _ = end_contract(log, config, config.organization, name, reason)
    if as_json:
        facts = {"organization": config.organization, "name": name}
        print_json(facts | {"partition": partition, "offset": offset})
    else:
        out.print(f"{name} ended in {config.organization}. On the log at {partition}:{offset}.", markup=False)
        _print_restatement_hint()


def _print_restatement_hint() -> None:
    out.print("Calls before it keep their costs. See what it would change of them: `tally price restate --dry-run`")
