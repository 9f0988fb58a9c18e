"""``tally grant``: rights to make calls, with limits, as control records on the log."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tally.cli import grant_replay, grant_views, grant_why
from tally.cli.grant_content import Content, with_content
from tally.cli.options import Actor, AsJson, Organization
from tally.output import err, out, print_json

app = typer.Typer(no_args_is_help=True, help="Grants: rights to make calls, with limits, in a tree.")

GrantName = Annotated[str, typer.Argument(metavar="GRANT", help="Name of the grant.")]
Scope = Annotated[str, typer.Option(help="Who may spend it: DIMENSION=NAME, for example team=search.")]
Expires = Annotated[str | None, typer.Option(metavar="DATE", help="First day or time without it, UTC.")]
Delegable = Annotated[bool, typer.Option("--delegable", help="Its holder may give parts of it on.")]
Reason = Annotated[str | None, typer.Option(help="Reason; stored on the log.")]


@app.callback()
def group() -> None:
    pass


app.command("list")(grant_views.list_)
app.command("show", no_args_is_help=True)(grant_views.show)
app.command("tree")(grant_views.tree)
app.command("replay", no_args_is_help=True)(grant_replay.replay)
app.command("why", no_args_is_help=True)(grant_why.explain)


@app.command(no_args_is_help=True)
@with_content
def create(
    content: Content,
    grant: GrantName,
    scope: Scope,
    parent: Annotated[str | None, typer.Option(metavar="GRANT", help="Grant that it narrows; none at the top.")] = None,
    expires: Expires = None,
    delegable: Delegable = False,
    reason: Reason = None,
    actor: Actor = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Create a grant: who may make which calls, up to which limits.

    As soon as a scope has a grant, each admission of its calls must be allowed by one of its grants and by all above
    it. A grant below another only narrows it: what it asks for beyond is refused. A name is given once.

    Example: tally grant create search --scope team=search --limit billed:100USD/1h --limit tokens:5M/total

    Example: tally grant create search-eu --parent search --scope team=search --regions eu --at-limit throttle
    --limit calls:1000/day@Europe/Berlin

    Example: tally grant create chat --parent product --scope team=chat --limit billed:60USD/day,floor=40,lend=10

    Exit codes: 0 created; 1 it has no effect, and why; 2 bad input."""
    body = _build_grant(grant, parent, scope, content, expires, delegable)
    _append("grant.created", "Created", body, reason, actor, organization, as_json)


@app.command(no_args_is_help=True)
@with_content
def delegate(
    content: Content,
    grant: GrantName,
    parent: Annotated[str, typer.Option(metavar="GRANT", help="Delegable grant of which it is a part.")],
    scope: Scope,
    expires: Expires = None,
    delegable: Delegable = False,
    reason: Reason = None,
    actor: Actor = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Give a part of a grant on, as its holder.

    The parent must be delegable, and of limits over the whole life (/total) no more can be given than it has left.

    Example: tally grant delegate run-7 --parent search --scope session=run-7 --limit tokens:100k/total

    Exit codes: 0 delegated; 1 it has no effect, and why; 2 bad input."""
    body = _build_grant(grant, parent, scope, content, expires, delegable)
    _append("grant.delegated", "Delegated", body, reason, actor, organization, as_json)


@app.command(no_args_is_help=True)
@with_content
def narrow(
    content: Content,
    grant: GrantName,
    expires: Expires = None,
    not_delegable: Annotated[bool, typer.Option("--not-delegable", help="No parts of it can be given on.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Allow no call, until it is extended with --resume.")] = False,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="The narrowing ends then; UTC.")] = None,
    reason: Reason = None,
    actor: Actor = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Narrow a grant: fewer calls, lower or more limits, an earlier end, or a pause. What you leave out stays.

    Example: tally grant narrow search --limit billed:20USD/1h --until 2026-12-24 --reason "holidays"

    Example: tally grant narrow search --pause

    Exit codes: 0 narrowed; 1 it has no effect, and why; 2 bad input."""
    changes = {"delegable": False if not_delegable else None, "paused": True if pause else None}
    body = _build_change(grant, content, expires, until, changes)
    _append("grant.narrowed", "Narrowed", body, reason, actor, organization, as_json)


@app.command(no_args_is_help=True)
@with_content
def extend(
    content: Content,
    grant: GrantName,
    expires: Expires = None,
    delegable: Delegable = False,
    resume: Annotated[bool, typer.Option("--resume", help="Allow calls again after a pause.")] = False,
    reason: Reason = None,
    actor: Actor = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Widen a grant within those above it: more calls, higher limits, a later end. What you leave out stays, and what
    was spent stays spent.

    Example: tally grant extend search --limit billed:200USD/1h --expires 2027-01-01 --reason "launch week"

    Exit codes: 0 extended; 1 it has no effect, and why; 2 bad input."""
    changes = {"delegable": True if delegable else None, "paused": False if resume else None}
    body = _build_change(grant, content, expires, None, changes)
    _append("grant.extended", "Extended", body, reason, actor, organization, as_json)


@app.command(no_args_is_help=True)
def revoke(
    grant: GrantName,
    reason: Reason = None,
    actor: Actor = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a grant, and so all grants below it, for ever. Calls that run may finish; they are charged as before.

    Example: tally grant revoke search --reason "the project ended"

    Exit codes: 0 revoked; 1 it has no effect, and why; 2 bad input."""
    _append("grant.revoked", "Revoked", {"grant": grant}, reason, actor, organization, as_json)


def _build_grant(
    grant: str, parent: str | None, scope: str, content: Content, expires: str | None, delegable: bool
) -> dict[str, Any]:
    from ledger.dimensions import BUDGET_DIMENSIONS
    from tally.cli.arguments import parse_choice, parse_pair, parse_time

    dimension, name = parse_pair(scope, "--scope")
    parse_choice(dimension, BUDGET_DIMENSIONS, "the dimension of --scope")
    body = {
        "grant": grant, "parent": parent, "dimension": dimension, "scope": name, **content,
        "expires_at": None if expires is None else parse_time(expires, "--expires"), "delegable": delegable or None,
    }  # fmt: skip
    return {field: value for field, value in body.items() if value is not None}


def _build_change(
    grant: str, content: Content, expires: str | None, until: str | None, changes: Mapping[str, bool | None]
) -> dict[str, Any]:
    from ledger.errors import TallyError
    from tally.cli.arguments import parse_time

    fields = content | {"expires_at": None if expires is None else parse_time(expires, "--expires"), **changes}
    body = {field: value for field, value in fields.items() if value is not None}
    if not body:
        raise TallyError(f"nothing is changed of grant {grant!r}: give --limit, --models, --expires or another option")
    return {"grant": grant} | body | ({} if until is None else {"until": parse_time(until, "--until")})


def _append(
    control_type: str, verb: str, body: dict[str, Any], reason: str | None, actor: str | None,
    organization: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Append a record, wait for its answer, and print it. Failure where it has no effect."""
    from tally.exit import Failure
    from tally.product.grants.answer import append_grant_record, find_hint
    from tally.product.grants.changes import complete_limits
    from tally.product.grants.persons import find_actor
    from tally.product.grants.text import describe_record
    from tally.session import opened, settings

    config = settings(organization=organization)
    is_change = control_type in ("grant.narrowed", "grant.extended")
    with opened(config, new=True) as log:
        if is_change and "limits" in body:
            body = body | {"limits": complete_limits(log, config.organization, body["grant"], body["limits"])}
        answer = append_grant_record(log, config, control_type, body, reason, find_actor(actor))
    partition, offset, _ = answer.position
    if as_json:
        print_json({
            "organization": config.organization, "grant": body["grant"], "control": control_type,
            "applied": answer.reason is None, "reason": answer.reason, "body": answer.body or None,
            "warning": answer.warning, "partition": partition, "offset": offset,
        })  # fmt: skip
    if answer.reason is not None:
        hint = find_hint(answer.reason)
        raise Failure(
            f"grant {body['grant']!r} of {config.organization} was not {verb.lower()}: {answer.reason}"
            + (f". Way out: {hint}" if hint else "")
        )
    if not as_json:
        out.print(f"{verb} grant {body['grant']} in organization {config.organization}.", markup=False)
        for line in describe_record(answer.body):
            out.print(line, markup=False)
        out.print(f"On the log at {partition}:{offset}.", markup=False)
        if answer.warning is not None:
            err.print(f"Warning: {answer.warning}", markup=False)
