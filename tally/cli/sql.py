"""``tally sql``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ledger.errors import TallyError


def sql(
    query: Annotated[str | None, typer.Argument(metavar="QUERY", help="One statement; - reads it from stdin.")] = None,
    file: Annotated[Path | None, typer.Option(help="Read the statement from this file.")] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="Any format of ClickHouse: CSVWithNames, JSONEachRow, Parquet …"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format JSON.")] = False,
) -> None:
    """Ask the warehouse in ClickHouse's SQL; the answer is a table on a terminal, else tab-separated.

    It only reads. The tables to ask are analytics.fct_usage, fct_calls, fct_entries, fct_daily_costs,
    fct_intake, fct_outcomes, fct_records, fct_decisions and fct_alerts (dbt/README.md tells them apart).
    An answer of more than 32 MiB takes JSONEachRow, which streams.
    Where nothing runs, what is needed is started, brought up to the log's end, and stopped again.

    Example: tally sql "select team, sum(billed_cost) from analytics.fct_daily_costs group by team"

    Example: tally sql --file report.sql --format CSVWithNames > report.csv

    Exit codes: 0 fine, 2 the warehouse refuses the statement (its reason is told)."""
    from tally.product.catch_up import warehouse_with_models
    from tally.session import settings
    from tally.sql_client import read_answer

    if (query is None) == (file is None):
        raise TallyError("give one statement: as the argument, by --file, or as - on stdin")
    if as_json and form:
        raise TallyError(f"--json and --format {form} say two formats: give one")
    statement = _read_file(file) if file else sys.stdin.read() if query == "-" else query or ""
    config = settings()
    default_format = "PrettyCompact" if sys.stdout.isatty() else "TabSeparated"
    with warehouse_with_models(config):
        for chunk in read_answer(config, statement, "JSON" if as_json else form or default_format):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


def _read_file(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise TallyError(f"cannot read --file {file}: {error}") from None
