"""``tally grant list``, ``show`` and ``tree``: what grants allow, and what is used and left of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tally.cli.options import AsJson, Organization
from tally.output import make_narrow_table, out, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from ledger.settings import Settings
    from tally.product.grants.usage import Grants, GrantUsage, LimitUsage

ScopeFilter = Annotated[
    str | None, typer.Option("--scope", metavar="DIMENSION=NAME", help="Grants of this scope, for example team=search.")
]
_AMOUNTS = ("used", "reserved", "leased", "left")
_WHOLE_COLUMNS = ("Used", "Reserved", "Leased", "Left", "Refills")
"""Columns that are not wrapped while there is room."""


def list_(scope: ScopeFilter = None, organization: Organization = None, as_json: AsJson = False) -> None:
    """List the grants of an organization: whose they are, what they allow, and what is used and left of each limit.

    All figures are as of the log's time, which is printed. A limit refills as time passes; the time shown is when what
    is used now has all come back. Where nothing is reserved or leased, these columns are left out. The log is folded
    again, so it takes longer for a long log.

    Example: tally grant list --scope team=search

    Exit codes: 0 listed, also where there are none; 2 bad input."""
    from tally.product.grants.text import describe_allow, list_facts

    config, grants, usages = _read(organization, scope)
    if as_json:
        _print_json(grants, [list_facts(usage, grants.time_us or 0) for usage in usages])
        return
    if not usages:
        _print_none(config, scope, grants)
        return
    _print_time(grants)
    parts = [part for usage in usages for part in usage.limits]
    amounts = ["used", *(name for name in ("reserved", "leased") if any(getattr(part, name) for part in parts)), "left"]
    table = _make_table("Grant", amounts, "Allows")
    for usage in usages:
        grant, state = usage.grant, "" if usage.stop is None else f" [{usage.state}]"
        title, allow = f"{grant.name} ({grant.dimension} {grant.scope}){state}", describe_allow(grant.allow)
        for part in usage.limits:
            _add_row(table, title, part, amounts, allow)
            title = allow = ""
        if not usage.limits:
            table.add_row(escape(title), "no limit of its own", *[""] * (len(amounts) + 1), escape(allow))
    out.print(table)


def show(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="Name of the grant.")],
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Show one grant: what it allows, who granted and changed it and why, its limits and those of the grants above it,
    which hold as well, and the grants below it.

    Example: tally grant show search

    Exit codes: 0 shown; 2 there is no such grant."""
    from ledger.errors import TallyError
    from tally.product.grants.persons import find_names
    from tally.product.grants.text import (
        describe_at_limit,
        describe_grant,
        describe_history,
        describe_narrowings,
        list_facts,
        list_history,
    )

    config, grants, _ = _read(organization, None)
    usage = grants.find(grant)
    if usage is None:
        names = ", ".join(other.grant.name for other in grants.usages[:10]) or "none"
        more = f" and {len(grants.usages) - 10} more (`tally grant list`)" if len(grants.usages) > 10 else ""
        raise TallyError(f"there is no grant {grant!r} in organization {config.organization}; there are: {names}{more}")
    path = [usage, *(above for name in usage.above if (above := grants.find(name)) is not None)]
    below = grants.list_below(grant)
    if as_json:
        time_us = grants.time_us or 0
        facts = {"organization": grants.organization, "as_of": _write_time(grants), **list_facts(usage, time_us)}
        facts["limits_above"] = [list_facts(above, time_us) for above in path[1:]]
        facts["below"] = [other.grant.name for other in below]
        print_json(facts | {"history": list_history(grants.history.get(grant, ()))})
        return
    for line in (*describe_grant(usage), *describe_narrowings(usage.grant, grants.time_us or 0)):
        out.print(line, markup=False)
    history = grants.history.get(grant, ())
    for line in describe_history(history, find_names(config, (record.actor for record in history))):
        out.print(line, markup=False)
    if below:
        out.print(f"  below it    {', '.join(other.grant.name for other in below)}", markup=False)
    _print_time(grants)
    if not any(part.limits for part in path):
        out.print("Neither it nor a grant above it has a limit.")
        return
    table = _make_table("Grant", _AMOUNTS, "At limit")
    for part in path:
        for number, limit in enumerate(part.limits):
            _add_row(table, part.grant.name if number == 0 else "", limit, _AMOUNTS, describe_at_limit(limit.limit))
    out.print(table)


def tree(scope: ScopeFilter = None, organization: Organization = None, as_json: AsJson = False) -> None:
    """Print the grants of an organization as a tree: each below the grant that it narrows, with what is left of its
    limits.

    With --scope: the grants of that scope, with those above and below them.

    Example: tally grant tree

    Exit codes: 0 printed, also where there are none; 2 bad input."""
    from tally.product.grants.text import ANY_CALL, describe_allow, describe_limits, list_facts

    config, grants, usages = _read(organization, scope)
    names = {usage.grant.name for usage in usages}
    above = {name for usage in usages for name in usage.above}
    related = [
        usage for usage in grants.usages
        if usage.grant.name in names or usage.grant.name in above or names.intersection(usage.above)
    ]  # fmt: skip
    if as_json:
        facts = [list_facts(usage, grants.time_us or 0) | {"depth": len(usage.above)} for usage in related]
        _print_json(grants, facts)
        return
    if not related:
        _print_none(config, scope, grants)
        return
    _print_time(grants)
    for usage in related:
        grant, indent = usage.grant, "  " * len(usage.above)
        state = "" if usage.stop is None else f" [{usage.state}]"
        allow = describe_allow(grant.allow)
        words = [describe_limits(usage), *([allow] if allow != ANY_CALL else [])]
        out.print(f"{indent}{grant.name}  {grant.dimension} {grant.scope}{state}: {'; '.join(words)}", markup=False)


def _read(organization: str | None, scope: str | None) -> "tuple[Settings, Grants, Sequence[GrantUsage]]":
    """Read the grants of an organization, and those of a scope among them."""
    from ledger.dimensions import BUDGET_DIMENSIONS
    from tally.cli.arguments import parse_choice, parse_pair
    from tally.output import progress_bar
    from tally.product.grants.usage import read_grants, seal_scope
    from tally.session import opened, settings

    config = settings(organization=organization)
    pair = None if scope is None else parse_pair(scope, "--scope")
    if pair is not None:
        parse_choice(pair[0], BUDGET_DIMENSIONS, "the dimension of --scope")
    with opened(config) as log, progress_bar() as bar:
        task = bar.add_task("folding", total=None)
        grants = read_grants(log, config.organization, lambda count: bar.advance(task, count))
    if pair is None:
        return config, grants, grants.usages
    return config, grants, grants.list_of_scope(pair[0], seal_scope(config, *pair))


def _make_table(first: str, amounts: Sequence[str], last: str) -> "Table":
    """Return a table of limits, of which no text is cut off in a narrow terminal."""
    table = make_narrow_table(first, "Limit", *(f">{name.capitalize()}" for name in amounts), "Refills", last)
    for column in table.columns:
        column.overflow, column.no_wrap = "fold", column.header in _WHOLE_COLUMNS
    return table


def _add_row(table: "Table", title: str, usage: "LimitUsage", amounts: Sequence[str], last: str) -> None:
    from tally.product.grants.text import describe_refill, format_amount, format_limit

    limit = usage.limit
    figures = [format_amount(limit, getattr(usage, name)) for name in amounts]
    table.add_row(*(escape(cell) for cell in (title, format_limit(limit), *figures, describe_refill(usage), last)))


def _print_none(config: "Settings", scope: str | None, grants: "Grants") -> None:
    if scope is None or not grants.usages:
        out.print(
            f"There are no grants in {config.organization}, so nothing is refused. Create one with `tally grant create "
            "NAME --scope team=search --limit billed:100USD/1h`.",
            markup=False,
        )
    else:
        out.print(
            f"No grant of {config.organization} is of the scope {scope}. `tally grant list` shows all "
            f"{len(grants.usages)}.",
            markup=False,
        )


def _print_json(grants: "Grants", facts: list[dict[str, object]]) -> None:
    print_json({"organization": grants.organization, "as_of": _write_time(grants), "grants": facts})


def _print_time(grants: "Grants") -> None:
    from tally.product.grants.text import describe_moment

    if grants.time_us is not None:
        second_us = grants.time_us // 1_000_000 * 1_000_000
        out.print(f"As of {describe_moment(second_us)} UTC, the time of the log.", markup=False)


def _write_time(grants: "Grants") -> str | None:
    from tally.product.grants.text import write_moment

    return write_moment(grants.time_us)
