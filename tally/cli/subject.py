"""``tally subject``: whose names pseudonyms are, and how one is forgotten."""

from typing import Annotated

import typer
from rich.markup import escape

from tally.output import err, out, make_table, print_json

app = typer.Typer(no_args_is_help=True, help="Whose names pseudonyms are, and how one is forgotten.")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LIMITS = (
    "What this cannot undo: whoever holds the organization's key (secrets.json of a home, and its backups) and the "
    "name can make the pseudonym again; copies of this home's persons.db (backups and snapshots of the file system) "
    "keep the name until you delete them; other homes on the same Kafka log keep tables of their own, and so do the "
    "systems that sent the events."
)


@app.command("list")
def list_(
    organization: Annotated[str | None, typer.Option(help="Only of this organization.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """The pseudonyms that this home's doors have made, and the names that they stand for.

    Example: tally subject list --organization acme

    Exit codes: 0 always."""
    from contextlib import closing

    from ledger.home.persons import Persons
    from tally.session import settings

    with closing(Persons(settings().home)) as persons:
        rows = persons.list_persons(organization, limit)
    if as_json:
        print_json([dict(zip(("organization", "pseudonym", "name"), row, strict=True)) for row in rows])
        return
    table = make_table("organization", "pseudonym", "name")
    for owner, pseudonym, name in rows:
        table.add_row(escape(owner), pseudonym, "(erased)" if name is None else escape(name))
    out.print(table)


@app.command(no_args_is_help=True)
def erase(
    subject: Annotated[str, typer.Argument(metavar="NAME", help="The person's name as it was sent, or the pseudonym.")],
    organization: Annotated[str | None, typer.Option(help="Whose person (TALLY_ORGANIZATION).")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget a person's name. Every total stays: the ledger holds the pseudonym, and nobody can tell whose it is.

    The erasure, with the pseudonym, is a record on the log. The name is not taken up again when the person calls again.

    Example: tally subject erase alice@example.com --organization acme

    Exit codes: 0 forgotten, 1 not confirmed or something still holds the name, 2 bad input."""
    from ingest.controls import erasure
    from ledger.errors import TallyError
    from tally.session import opened, settings

    config = settings(organization=organization)
    if not 1 <= len(subject) <= 256:
        raise TallyError(f"NAME has {len(subject)} characters: no name that entered has, it has 1 to 256")
    if not yes:
        typer.confirm(f"Forget {subject!r} of {config.organization!r} for good? {LIMITS}\n", abort=True, err=True)
    with opened(config, new=True) as log:
        pseudonym, is_known, (partition, offset, _), held_by = erasure.erase_person(
            log, config, config.organization, subject
        )
    if as_json:
        print_json(
            {"pseudonym": pseudonym, "known": is_known, "partition": partition, "offset": offset, "cannot": LIMITS}
            | {"forgotten": not held_by, "held_by": held_by}
        )
    elif held_by:
        err.print(
            f"{pseudonym}: its name is not forgotten yet: {'; '.join(held_by)}. Close what uses the table (sqlite3, a "
            "backup, dashboards), and repeat this command to finish. The erasure is on the log at "
            f"{partition}:{offset}.",
            markup=False,
        )
    if held_by:
        raise typer.Exit(1)
    if as_json:
        return
    status = "forgotten" if is_known else "not known here, and will not be"
    out.print(f"{pseudonym}: its name is {status}; on the log at {partition}:{offset}. {LIMITS}", markup=False)
