"""Import files: read their lines, accept or reject each, and append the accepted ones as records."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ingest.files.line_identity import Occurrences
from ingest.files.lines import Line, read_lines
from ingest.files.outcomes import Outcomes, Progress, Range, await_outcomes
from ingest.files.plan import Options, Plan, parse_start, plan_import
from ingest.files.rows import read_rows
from ingest.files.source_rows import SourcePlan, read_events
from ingest.files.summary import Imported, Summary
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import AcceptedEvent, Intake, open_intake
from ingest.intake.limits import MAX_LINE_BYTES
from ingest.intake.privacy import Removed
from ingest.intake.rejection import Rejection
from ingest.mapping.reader import RowReader
from ledger.log import Appender, Record
from ledger.settings import Settings
from tallystick.vocabulary.fitting import fit_fields

__all__ = ["Options", "Outcomes", "Range", "Summary", "await_outcomes", "import_files", "parse_start"]

MAX_AHEAD_S = 0.2
"""Seconds by which an event may be appended ahead of its pace, so that a batch has more than one."""
NO_REMOVALS = Removed()

Accept = Callable[[bytes], AcceptedEvent]


def import_files(
    log: Appender,
    settings: Settings,
    files: Sequence[Path],
    options: Options = Options(),  # noqa: B008  (frozen)
    progress: Progress = lambda done_bytes, total: None,
    intake: Intake | None = None,
) -> Summary:
    """Append the events of files, and of the session files of folders, to the log. ``progress`` receives the bytes
    read, also while a pace is kept. Events pass ``intake``, by default that of the home.

    TallyError before anything is written, where a file or an option is not possible. Ctrl-C ends the import
    and not the program: the summary has what was appended. :func:`await_outcomes` returns the outcomes.
    """
    intake = intake or open_intake(settings.home, settings.organization)
    plans, summary = plan_import(files, options, intake)
    batch = Batch(log, Envelope(settings.organization, "import", "local"), intake.key)
    try:
        read_plans(plans, intake, batch, summary, options.pace, progress)
    except KeyboardInterrupt as interrupted:
        summary.interrupted = interrupted
    return summary


class LineBatch(Protocol):
    """Collects the lines that are accepted, and counts those that are rejected: a batch, or its stand-in."""

    lines: list[bytes]
    refused: int

    def has_room_for(self, line: bytes) -> bool: ...

    def add(self, line: bytes) -> None: ...

    def refuse(self, rejection: Rejection, raw: bytes, length: int) -> None: ...

    def append(self) -> Record | None: ...


def read_plans(
    plans: Sequence[Plan],
    intake: Intake,
    batch: LineBatch,
    summary: Summary,
    pace: float | None,
    progress: Progress,
) -> None:
    """Read the files that were planned, one after the other, into a batch."""
    total, before = sum(plan.size for plan in plans), 0
    for plan in plans:
        _FileImport(plan, intake, batch, summary, pace).run(partial(_report_total, before, total, progress))
        before += plan.size


class _FileImport:
    """The import of one file."""

    def __init__(self, plan: Plan, intake: Intake, batch: LineBatch, summary: Summary, pace: float | None) -> None:
        self._plan = plan
        self._intake = intake
        self._batch = batch
        self._summary = summary
        self._pace = pace
        self._pace_start: tuple[datetime, float] | None = None
        self._report_progress: Callable[[], None] = lambda: None
        self._imported = Imported(plan.path, plan.format, plan.source)
        summary.files.append(self._imported)

    def run(self, progress: Callable[[int], None]) -> None:
        with self._plan.path.open("rb") as file, closing(Occurrences()) as occurrences:
            self._report_progress = lambda: progress(file.tell())
            if self._plan.source_rows is not None:
                self._import_source(file, self._plan.source_rows, occurrences)
            elif self._plan.rows is not None:
                self._import_rows(file, self._plan.rows, occurrences)
            else:
                self._import_lines(file, self._make_acceptor(occurrences))

    def _make_acceptor(self, occurrences: Occurrences) -> Accept:
        trace = self._plan.trace
        if trace is None:
            return self._intake.accept

        def accept(raw: bytes) -> AcceptedEvent:
            time, tokens = trace.parse(raw)
            return AcceptedEvent(trace.frame.line(occurrences.identity(raw), time, tokens), time, NO_REMOVALS)

        return accept

    def _import_lines(self, file: BinaryIO, accept: Accept) -> None:
        for line in read_lines(file):
            if line.number == 1 and self._plan.has_header:
                continue
            try:
                accepted = accept(_check_line(line))
            except Rejection as rejection:
                self._reject(line, rejection)
            else:
                self._accept(accepted)
        self._flush()

    def _import_rows(self, file: BinaryIO, reader: RowReader, occurrences: Occurrences) -> None:
        """Import rows by a mapping. Columns give a row its id where the mapping says so, else its bytes, as in a
        trace."""
        for number, raw, row in read_rows(file, reader.sheet.format, reader.sheet.delimiter):
            try:
                if isinstance(row, Rejection):
                    raise row
                event, id = reader.read(row)
                event["specversion"], event["id"] = "1.0", id or occurrences.identity(raw)
                accepted = self._intake.accept_event(event)
            except Rejection as rejection:
                self._reject(Line(number, raw, len(raw)), rejection)
            else:
                self._imported.count_usage(event["data"])
                self._accept(accepted)
        self._flush()

    def _import_source(self, file: BinaryIO, plan: SourcePlan, occurrences: Occurrences) -> None:
        """Import the rows of a source: an event has its id by the source, else by its row's bytes, as in a trace."""
        for row in read_events(file, plan, self._plan.path.stem):
            self._imported.skipped -= row.is_late
            try:
                if isinstance(row.event, Rejection):
                    raise row.event
                if row.event is None or plan.is_copy(row.event):
                    self._imported.skipped += 1
                    continue
                id = row.event.id or occurrences.identity(row.raw)
                accepted = self._accept_fitted(plan.make_event(self._plan.source or "", id, row.event))
            except Rejection as rejection:
                self._reject(Line(row.number, row.raw, len(row.raw)), rejection)
            else:
                self._imported.count_usage(row.event.data)
                self._accept(accepted)
        self._flush()

    def _accept_fitted(self, event: dict[str, Any]) -> AcceptedEvent:
        """Accept an event, without what does not fit where it is refused: an attribute never costs a fact."""
        try:
            return self._intake.accept_event(event)
        except Rejection:
            return self._intake.accept_event({**event, "data": fit_fields(event["data"]).fields})

    def _accept(self, accepted: AcceptedEvent) -> None:
        if self._pace:
            self._keep_pace(accepted.time, self._pace)
        if not self._batch.has_room_for(accepted.line):
            self._flush()
        self._batch.add(accepted.line)
        if accepted.removed:
            self._summary.add_removed(accepted.removed)

    def _reject(self, line: Line, rejection: Rejection) -> None:
        if not self._batch.has_room_for(b""):
            self._flush()
        self._batch.refuse(rejection, line.content, line.length)
        self._summary.add_refusal(self._plan.path, line.number, rejection)

    def _keep_pace(self, event_time: datetime, pace: float) -> None:
        """Wait until the event is due; what is due before is appended first."""
        if self._pace_start is None:
            self._pace_start = event_time, time.monotonic()
        first_time, start_s = self._pace_start
        due_s = start_s + (event_time - first_time).total_seconds() / pace
        if due_s - time.monotonic() > MAX_AHEAD_S:
            self._flush()
        while (wait_s := due_s - time.monotonic()) > MAX_AHEAD_S:
            time.sleep(min(wait_s, MAX_AHEAD_S))
            self._report_progress()

    def _flush(self) -> None:
        accepted, rejected = len(self._batch.lines), self._batch.refused
        record = self._batch.append()
        self._imported.accepted += accepted
        self._imported.rejected += rejected
        if record is not None:
            self._summary.add(record)
        self._report_progress()


def _report_total(bytes_before: int, total: int, progress: Progress, done_bytes: int) -> None:
    progress(bytes_before + done_bytes, total)


def _check_line(line: Line) -> bytes:
    if line.length > MAX_LINE_BYTES:
        raise Rejection("", f"has {line.length:,} bytes, and a line may have {MAX_LINE_BYTES:,}")
    if not line.content:
        raise Rejection("", "is empty: leave it out")
    return line.content
