"""``tally token``: tokens of the HTTP API."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tally.cli.options import AsJson
from tally.output import make_table, out, print_json

if TYPE_CHECKING:
    from ledger.home.tokens import Token

app = typer.Typer(no_args_is_help=True, help="Tokens of the HTTP API: who may send, read and manage.")


@app.command(no_args_is_help=True)
def create(
    role: Annotated[
        list[str],
        typer.Option(help="write (send events), read (read outcomes) or admin (send control records); repeatable."),
    ],
    organization: Annotated[
        list[str] | None, typer.Option(help="Organization; repeatable (TALLY_ORGANIZATION).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a token and print it once: the home stores only its hash.

    Example: tally token create --organization acme --role write

    Exit codes: 0 created, 2 bad input."""
    from ledger.home.tokens import ROLES
    from ledger.home.tokens import create_token as make
    from tally.cli.arguments import parse_choice
    from tally.session import make_home, settings

    roles = [parse_choice(name, ROLES, "--role") for name in role]
    config = settings()
    make_home(config)
    token, bearer = make(config.home, organization or [config.organization], roles)
    if as_json:
        print_json({"token": bearer} | _describe(token))
    else:
        out.print(bearer, markup=False, highlight=False, soft_wrap=True)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the tokens of this home: id, organizations, roles, created, revoked.

    Example: tally token list

    Exit codes: 0 always."""
    from ledger.home.tokens import list_tokens
    from tally.session import settings

    tokens = list_tokens(settings().home)
    if as_json:
        print_json([_describe(token) for token in tokens])
        return
    table = make_table("id", "organizations", "roles", "created", "revoked")
    for token in tokens:
        organizations, roles = ", ".join(token.organizations), ", ".join(token.roles)
        table.add_row(token.id, escape(organizations), roles, token.created, token.revoked or "")
    out.print(table)


@app.command(no_args_is_help=True)
def revoke(
    id: Annotated[str, typer.Argument(help="Id of the token, from `tally token list`.")], as_json: AsJson = False
) -> None:
    """Revoke a token, effective with the next request.

    Example: tally token revoke 5f3a9c01

    Exit codes: 0 revoked, 2 no token has this id."""
    from ledger.home.tokens import revoke_token as end
    from tally.session import settings

    token = end(settings().home, id)
    if as_json:
        print_json(_describe(token))
    else:
        out.print(f"Revoked {token.id} at {token.revoked}", markup=False)


def _describe(token: "Token") -> dict[str, object]:
    return {name: value for name, value in token._asdict().items() if name != "hash"}
