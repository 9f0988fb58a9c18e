"""``tally model``: names of models, as control records on the log."""

from typing import Annotated

import typer

from tally.output import out, print_json

app = typer.Typer(no_args_is_help=True, help="Names of models that no price book knows.")

_Provider = Annotated[
    str | None, typer.Option(help="Only the events that name this provider; otherwise all that name the model.")
]
_Reason = Annotated[str | None, typer.Option(help="Reason; stored on the log.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def group() -> None:
    pass


@app.command(no_args_is_help=True)
def alias(
    name: Annotated[str, typer.Argument(help="Name by which events call the model, in any case.")],
    priced_as: Annotated[str, typer.Option("--as", help="PROVIDER/MODEL of a price book, for example azure/gpt-4o.")],
    provider: _Provider = None,
    reason: _Reason = None,
    as_json: _Json = False,
) -> None:
    """Price the later events that call a model NAME as a model of the price books.

    For names that say nothing: an Azure deployment, an inference profile, a model behind a gateway. It holds for all
    organizations, and comes before what the books say of NAME. Setting it again changes it.

    Example: tally model alias prod-chat --as azure/gpt-4o --provider azure

    Exit codes: 0 set, 2 bad input."""
    from ingest.controls.models import alias_model
    from ledger.errors import TallyError
    from tally.output import err
    from tally.product.name_warnings import list_alias_warnings
    from tally.session import opened, settings

    priced_provider, _, priced_model = priced_as.partition("/")
    if not priced_provider or not priced_model:
        raise TallyError(f"--as is {priced_as!r}, and must be PROVIDER/MODEL, for example azure/gpt-4o")
    config = settings()
    with opened(config, new=True) as log:
        position = alias_model(log, config, name, priced_provider, priced_model, provider, reason)
        warnings = list_alias_warnings(priced_provider, priced_model, log)
    if as_json:
        facts = {"name": name, "provider": provider, "priced_provider": priced_provider, "priced_model": priced_model}
        print_json(facts | {"partition": position.partition, "offset": position.offset, "warnings": warnings})
    else:
        of_provider = f" of {provider}" if provider else ""
        out.print(
            f"Later calls of the model {name}{of_provider} are priced as {priced_as}. On the log at "
            f"{position}. Calls before keep their costs: `tally price restate --dry-run`.",
            markup=False,
        )
        for warning in warnings:
            err.print(f"Warning: {warning}", markup=False)


@app.command("list")
def list_(as_json: _Json = False) -> None:
    """List the aliases in force.

    Example: tally model list

    Exit codes: 0 listed, 2 no log."""
    from ingest.controls.models import list_aliases
    from tally.session import opened, settings

    with opened(settings()) as log:
        aliases = list_aliases(log)
    if as_json:
        print_json([alias._asdict() | {"position": str(alias.position)} for alias in aliases])
    elif not aliases:
        out.print("No aliases. Set one with `tally model alias NAME --as PROVIDER/MODEL`.", markup=False)
    for alias in () if as_json else aliases:
        of_provider = f" of {alias.provider}" if alias.provider else ""
        out.print(f"{alias.name}{of_provider}: {alias.priced_provider}/{alias.priced_model}", markup=False)


@app.command(no_args_is_help=True)
def remove(
    name: Annotated[str, typer.Argument(help="Name of the alias.")],
    provider: _Provider = None,
    reason: _Reason = None,
    as_json: _Json = False,
) -> None:
    """Remove an alias: the later events that call a model NAME are priced by that name again.

    Example: tally model remove prod-chat --provider azure

    Exit codes: 0 removed, 2 there is no such alias."""
    from ingest.controls.models import remove_alias
    from tally.session import opened, settings

    config = settings()
    with opened(config) as log:
        position = remove_alias(log, config, name, provider, reason)
    if as_json:
        print_json({"name": name, "provider": provider, "partition": position.partition, "offset": position.offset})
    else:
        out.print(f"Removed the alias {name}. On the log at {position}.", markup=False)
