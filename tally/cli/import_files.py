"""``tally import``."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.file_formats import list_titles
from tally.cli.options import AsJson, Organization


def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE|FOLDER…", help=f"Formats: {list_titles()}; others with --mapping.")
    ],
    pace: Annotated[float | None, typer.Option(help="Replay at the trace's own pace, this many times as fast.")] = None,
    start: Annotated[str | None, typer.Option(help="Start time of relative times, or of rows without one.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE for a field that the file does not have.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Source of the events; default: the format's name.")] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML file that maps the columns of a CSV, JSONL or Parquet file.")
    ] = None,
    replace: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Book the events of this source out, and the files in.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation of --replace.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Append nothing: show the events that would be imported, and their cost.")
    ] = False,
    format: Annotated[str | None, typer.Option(help="Name of the format, instead of recognizing it.")] = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Append the events of files to the log, and show their outcomes.

    The format is detected by a file's header or first lines. A folder is searched for session files of Claude Code and
    Codex. A line counts once, however often it is imported; a file that grew adds its new lines. Give different files
    of one format a --source each. A bad line is rejected with its number and reason; the others are imported.

    --replace SOURCE puts a wrong import right: it revises events that differ, reverses those that the files no longer
    hold, and adds new ones. It shows the counts and asks before it appends; with --dry-run it ends there.

    Example: tally import ~/.claude/projects ~/.codex/sessions --set user=ann@example.com

    Example: tally import spend.csv --mapping litellm.yaml --dry-run (docs/import.md shows such mappings)

    Example: tally import spend.csv --mapping litellm.yaml --replace litellm

    Exit codes: 0 imported (the summary lists rejected lines), 1 --replace was not confirmed, 2 a file or an option is
    wrong, 130 interrupted (imported events stay; import again to add the rest)."""
    from ingest.files.importer import Options, parse_start
    from tally.cli.import_dry_run import print_dry_run
    from tally.cli.import_run import append_files, replace_source
    from tally.session import settings

    config = settings(organization=organization)
    options = Options(source, sets or (), parse_start(start) if start else None, pace, mapping, format)
    if replace is not None:
        replace_source(config, replace, files, options, is_dry=dry_run, is_confirmed=yes, as_json=as_json)
    elif dry_run:
        print_dry_run(config, files, options, as_json=as_json)
    else:
        append_files(config, files, options, as_json)
