"""Options that several commands have."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Organization = Annotated[str | None, typer.Option("--organization", "--org", help="Organization (TALLY_ORGANIZATION).")]
Actor = Annotated[
    str | None, typer.Option(metavar="PERSON", help="Who decides: you where absent. Stored as a pseudonym.")
]
