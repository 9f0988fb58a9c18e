"""``tally subject``: persons behind pseudonyms, and their erasure."""

from typing import Annotated

import typer
from rich.markup import escape

from tally.cli.options import AsJson, Organization
from tally.output import err, make_table, out, print_json

app = typer.Typer(no_args_is_help=True, help="Persons behind pseudonyms, and their erasure.")
LIMITS = (
    "Limits: anyone with the organization's key (secrets.json of a home, and its backups) and the name can compute the "
    "pseudonym again; copies of this home's persons.db (backups, file system snapshots) keep the name until you "
    "delete them; other homes on the same Kafka log keep tables of their own, and so do the systems that sent the "
    "events."
)


@app.command("list")
def list_(
    organization: Annotated[str | None, typer.Option("--organization", "--org", help="Only this organization.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of persons.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the pseudonyms that the intake of this home has made, with the names behind them.

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
    subject: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the person as it was sent, or the pseudonym.")
    ],
    organization: Organization = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person's name. Totals stay: the ledger keeps the pseudonym, without a name.

    The erasure is recorded on the log with the pseudonym. The name is not stored again if the person calls again.

    Example: tally subject erase alice@example.com --organization acme

    Exit codes: 0 erased, 1 not confirmed, or a file still holds the name, 2 bad input."""
    from ingest.controls import erasure
    from ledger.errors import TallyError
    from tally.session import opened, settings

    config = settings(organization=organization)
    if not 1 <= len(subject) <= 256:
        raise TallyError(f"NAME has {len(subject)} characters; names have 1 to 256")
    if not yes:
        typer.confirm(f"Erase {subject!r} of {config.organization!r} for good? {LIMITS}\n", abort=True, err=True)
    with opened(config, new=True) as log:
        pseudonym, is_known, position, held_by = erasure.erase_person(log, config, config.organization, subject)
    if as_json:
        print_json(
            {
                "pseudonym": pseudonym,
                "known": is_known,
                "partition": position.partition,
                "offset": position.offset,
                "cannot": LIMITS,
            }
            | {"forgotten": not held_by, "held_by": held_by}
        )
    elif held_by:
        err.print(
            f"{pseudonym}: the name is not erased yet: {'; '.join(held_by)}. Close programs that use the table "
            "(sqlite3, a backup, dashboards), and run this command again. The erasure is on the log at "
            f"{position}.",
            markup=False,
        )
    if held_by:
        raise typer.Exit(1)
    if as_json:
        return
    status = "erased" if is_known else "not known here, and will not be stored"
    out.print(f"{pseudonym}: the name is {status}. On the log at {position}. {LIMITS}", markup=False)
