"""``tally import``."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.file_formats import list_titles


def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE|FOLDER…", help=f"Formats: {list_titles()}; others with --mapping.")
    ],
    pace: Annotated[float | None, typer.Option(help="Replay at the trace's own pace, this many times as fast.")] = None,
    start: Annotated[str | None, typer.Option(help="Start time of a trace with relative times.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE for a field that the trace does not have.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Source of the events; default: the format's name.")] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML file that maps the columns of a CSV, JSONL or Parquet file.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Append nothing: show the events that would be imported, and their cost.")
    ] = False,
    format: Annotated[str | None, typer.Option(help="Name of the format, instead of recognizing it.")] = None,
    organization: Annotated[str | None, typer.Option(help="Organization (TALLY_ORGANIZATION).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Append the events of files to the log, and show their outcomes.

    The format is detected by a file's header or first lines. A folder is searched for session files of Claude Code and
    Codex. A line counts once, however often it is imported; a file that grew
    adds its new lines. Give different files of one format a --source each. A bad line is rejected with its number and
    reason; the others are imported.

    Example: tally import AzureLLMInferenceTrace_code.csv --set model=gpt-4o --set team=search

    Example: tally import ~/.claude/projects ~/.codex/sessions --set user=ann@example.com

    Example: tally import conversation.jsonl --set model=kimi-k2 --pace 60

    Example: tally import spend.csv --mapping litellm.yaml --dry-run (docs/import.md shows such mappings)

    Exit codes: 0 imported (the summary lists rejected lines), 2 a file or an option is wrong, 130 interrupted
    (imported events stay; import again to add the rest)."""
    from ingest.files.importer import Options, await_outcomes, import_files, parse_start
    from tally.cli.import_summary import folding, print_summary, summarize
    from tally.output import print_json, progress_bar
    from tally.product.catch_up import make_follower
    from tally.session import opened, settings

    config = settings(organization=organization)
    options = Options(source, sets or (), parse_start(start) if start else None, pace, mapping, format)
    if dry_run:
        from tally.cli.import_dry_run import print_dry_run

        print_dry_run(config, files, options, as_json=as_json)
        return
    with opened(config, new=True) as log, folding(config) as (running, failure):
        with progress_bar() as bar:
            summary = import_files(log, config, files, options, make_follower(bar, "reading", running))
            outcomes = None
            if summary.interrupted is None and failure is None:
                outcomes = await_outcomes(log, summary.appended, make_follower(bar, "folding", running))
        if as_json:
            print_json(summarize(summary, outcomes))
        else:
            print_summary(summary, outcomes)
        if summary.interrupted is not None:
            raise summary.interrupted
        if failure is not None:
            raise failure
