"""``tally sql``."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand

from ledger.errors import TallyError

_COMMENT = re.compile(r"--(\s|.*\n)")
"""The beginning of a statement with a comment. An option has no space behind its dashes, and no line break."""


class StatementCommand(TyperCommand):
    """The command of a statement that may begin with a comment, which has the dashes of an option."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        return super().parse_args(ctx, [f"\n{text}" if _COMMENT.match(text) else text for text in args])


def sql(
    query: Annotated[str | None, typer.Argument(metavar="QUERY", help="One statement; - reads from stdin.")] = None,
    file: Annotated[Path | None, typer.Option(help="Read the statement from this file.")] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="Any ClickHouse format: CSVWithNames, JSONEachRow, Parquet …"),
    ] = None,
    marts: Annotated[bool, typer.Option("--marts", help="List the marts, and what a row of each stands for.")] = False,
    columns: Annotated[
        str | None, typer.Option(metavar="MART", help="List the columns of a mart, with types and units.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Same as --format JSON; with --marts, all columns too.")
    ] = False,
) -> None:
    """Query the warehouse in ClickHouse's SQL, read-only. Prints a table on a terminal, else tab-separated values.

    Tables: the marts of the database analytics; --marts lists them, --columns describes one, and docs/sql.md answers
    questions with them. For results above 32 MiB use JSONEachRow, which streams. If services are not running, the
    command starts them, waits until they reach the end of the log, and stops them again.

    Example: tally sql "select team, sum(billed_cost) from analytics.fct_daily_costs group by team"

    Example: tally sql --file report.sql --format CSVWithNames > report.csv

    Example: tally sql --columns fct_usage

    Exit codes: 0 success, 2 the warehouse rejects the statement (the reason is shown)."""
    from tally.product.catch_up import warehouse_with_models
    from tally.session import settings
    from tally.sql_client import read_answer

    if [query is not None, file is not None, marts, columns is not None].count(True) != 1:
        raise TallyError(
            "give one statement (as an argument, with --file, or - to read stdin), --marts or --columns MART"
        )
    if marts or columns is not None:
        _print_catalogue(columns, form, as_json)
        return
    if as_json and form:
        raise TallyError(f"--json and --format {form} name two formats: give one")
    statement = _read_file(file) if file else sys.stdin.read() if query == "-" else query or ""
    config = settings()
    default_format = "PrettyCompact" if sys.stdout.isatty() else "TabSeparated"
    with warehouse_with_models(config):
        for chunk in read_answer(config, statement, "JSON" if as_json else form or default_format):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


def _print_catalogue(mart_name: str | None, form: str | None, as_json: bool) -> None:
    """Print the marts, or the columns of one."""
    from tally.output import make_table, out, print_json
    from tally.product.catch_up import warehouse_with_models
    from tally.session import settings
    from warehouse.catalogue import as_facts, read_marts
    from warehouse.client import connect

    if form is not None:
        raise TallyError(f"--format {form} is of a statement: the catalogue is a table, or --json")
    config = settings()
    with warehouse_with_models(config):
        marts = {mart.name: mart for mart in read_marts(connect(config))}
    if mart_name is None:
        if as_json:
            print_json([as_facts(mart) for mart in marts.values()])
            return
        table = make_table("mart", ">columns", "one row")
        for mart in marts.values():
            table.add_row(mart.name, str(len(mart.columns)), mart.grain)
        out.print(table, markup=False)
        return
    if (name := mart_name.removeprefix("analytics.")) not in marts:
        raise TallyError(f"--columns {mart_name}: no such mart, of {', '.join(marts)}")
    mart = marts[name]
    if as_json:
        print_json(as_facts(mart))
        return
    out.print(mart.description, markup=False)
    table = make_table("column", "type", "unit", "description")
    for column in mart.columns:
        table.add_row(column.name, column.type, column.unit, column.description)
    out.print(table, markup=False)


def _read_file(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise TallyError(f"cannot read --file {file}: {error}") from None
