"""Runs of ``tally import``: files are appended, or replace what a source has on the log."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import typer

from ingest.files.importer import Options, Summary, await_outcomes, import_files
from ingest.files.replacement import plan_replacement
from ingest.files.source_table import Counts
from ledger.settings import Settings
from tally.cli.import_summary import folding, print_omissions, print_summary, summarize
from tally.output import err, out, print_json, progress_bar
from tally.product.catch_up import make_follower, wait_for_folds
from tally.session import opened


def append_files(config: Settings, files: Sequence[Path], options: Options, as_json: bool) -> None:
    """Append the events of files, and show their outcomes."""
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


def replace_source(
    config: Settings,
    source: str,
    files: Sequence[Path],
    options: Options,
    *,
    is_dry: bool,
    is_confirmed: bool,
    as_json: bool,
) -> None:
    """Compare the files with the source's events in force and show what differs; unless the run is dry ask, append it,
    and show the outcomes."""
    with opened(config) as log, folding(config) as (running, failure), ExitStack() as stack:
        if failure is not None:  # what is in force follows from the folds
            raise failure
        wait_for_folds(log, running)
        with progress_bar() as bar:
            follow = make_follower(bar, "comparing", running)
            counts, apply, reading = stack.enter_context(plan_replacement(log, config, source, files, options, follow))
        if not as_json:
            print_omissions(reading)
        (err if as_json else out).print(_describe(source, counts), markup=False)
        if is_dry:
            if as_json:
                print_json({"dry_run": True} | _summarize_replacement(reading, counts))
            return
        if counts.changes and not is_confirmed:
            typer.confirm(f"Replace what {source!r} of {config.organization!r} has on the log?", abort=True, err=True)
        outcomes = None
        with progress_bar() as bar:
            summary = apply(make_follower(bar, "appending", running))
            if summary.interrupted is None:
                outcomes = await_outcomes(log, summary.appended, make_follower(bar, "folding", running))
        if as_json:
            print_json(summarize(summary, outcomes) | _summarize_replacement(reading, counts))
        elif counts.changes:
            print_summary(summary, outcomes)
        if summary.interrupted is not None:
            raise summary.interrupted


def _summarize_replacement(reading: Summary, counts: Counts) -> dict[str, Any]:
    """Return the figures of the files that were read, and the counts of what differs, for ``--json``. The other figures
    of an import are of the events that were appended."""
    facts = summarize(reading, None)
    names = ("files", "refused", "warnings", "removed", "skipped_files")
    return {name: facts[name] for name in names} | {"replacement": counts._asdict()}


def _describe(source: str, counts: Counts) -> str:
    """Write what becomes of the events of a source."""
    text = (
        f"{source}: {counts.kept:,} events kept, {counts.replaced:,} replaced, {counts.reversed:,} reversed, "
        f"{counts.added:,} added"
    )
    if counts.repeated:
        text += f". {counts.repeated:,} lines have the id of another line and other content: the first of each counts"
    return text if counts.changes else f"{text}. Nothing to change"
