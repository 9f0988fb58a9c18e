"""``tally sql``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ledger.errors import TallyError


def sql(
    query: Annotated[str | None, typer.Argument(metavar="QUERY", help="One statement; - reads from stdin.")] = None,
    file: Annotated[Path | None, typer.Option(help="Read the statement from this file.")] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="Any ClickHouse format: CSVWithNames, JSONEachRow, Parquet …"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Same as --format JSON.")] = False,
) -> None:
    """Query the warehouse in ClickHouse's SQL, read-only. Prints a table on a terminal, else tab-separated values.

    Tables: analytics.fct_usage, fct_calls, fct_entries, fct_daily_costs, fct_intake, fct_outcomes, fct_records,
    fct_decisions and fct_alerts (dbt/README.md describes them). For results above 32 MiB use JSONEachRow, which
    streams. If services are not running, the command starts them, waits until they reach the end of the log, and
    stops them again.

    Example: tally sql "select team, sum(billed_cost) from analytics.fct_daily_costs group by team"

    Example: tally sql --file report.sql --format CSVWithNames > report.csv

    Exit codes: 0 success, 2 the warehouse rejects the statement (the reason is shown)."""
    from tally.product.catch_up import warehouse_with_models
    from tally.session import settings
    from tally.sql_client import read_answer

    if (query is None) == (file is None):
        raise TallyError("give one statement: as an argument, with --file, or - to read stdin")
    if as_json and form:
        raise TallyError(f"--json and --format {form} name two formats: give one")
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
