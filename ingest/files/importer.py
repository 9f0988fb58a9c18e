"""Files onto the log: their lines read, let in or refused, framed and appended."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ingest.adapters.mapping import RowReader
from ingest.files.line_identity import Occurrences
from ingest.files.lines import Line, lines
from ingest.files.outcomes import Outcomes, Progress, Range, outcomes_of
from ingest.files.plan import Options, Plan, moment, planned
from ingest.files.rows import rows
from ingest.files.summary import Imported, Summary
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import Door, Entered, door
from ingest.intake.limits import MAX_LINE
from ingest.intake.privacy import Removed
from ingest.intake.rejection import Refused
from ledger.log import Log
from ledger.settings import Settings

__all__ = ["Options", "Outcomes", "Range", "Summary", "import_files", "moment", "outcomes_of"]

AHEAD_S = 0.2
"""How far ahead of its pace an event may be appended, so that batches have more than one."""
NOTHING = Removed()

Take = Callable[[bytes], Entered]


def import_files(
    log: Log,
    settings: Settings,
    files: Sequence[Path],
    options: Options = Options(),  # noqa: B008  (frozen)
    progress: Progress = lambda done, total: None,
) -> Summary:
    """Append the events of files to the log. ``progress`` hears of bytes read, also while it keeps a pace.

    TallyError before anything is written, where a file or an option is not possible. Ctrl-C ends the import
    and not the program: the summary says what was appended. :func:`outcomes_of` says what became of it.
    """
    entrance = door(settings.home, settings.organization)
    plans = planned(files, options, entrance)
    batch = Batch(log, Envelope(settings.organization, "import", "local"), entrance.key)
    summary = Summary()
    total = sum(plan.size for plan in plans)
    try:
        for at, plan in enumerate(plans):
            before = sum(other.size for other in plans[:at])
            _File(plan, entrance, batch, summary, options.pace).run(partial(_beyond, before, total, progress))
    except KeyboardInterrupt as interrupted:
        summary.interrupted = interrupted
    return summary


class _File:
    """The import of one file."""

    def __init__(self, plan: Plan, entrance: Door, batch: Batch, summary: Summary, pace: float | None) -> None:
        self._plan = plan
        self._door = entrance
        self._batch = batch
        self._summary = summary
        self._pace = pace
        self._begun: tuple[datetime, float] | None = None
        self._tell: Callable[[], None] = lambda: None
        self._imported = Imported(plan.path, plan.format, plan.source)
        summary.files.append(self._imported)

    def run(self, progress: Callable[[int], None]) -> None:
        with self._plan.path.open("rb") as file, closing(Occurrences()) as occurrences:
            self._tell = lambda: progress(file.tell())
            if self._plan.rows is not None:
                self._read_rows(file, self._plan.rows, occurrences)
            else:
                self._read(file, self._taker(occurrences))

    def _taker(self, occurrences: Occurrences) -> Take:
        trace = self._plan.trace
        if trace is None:
            return self._door.enter

        def take(raw: bytes) -> Entered:
            time, tokens = trace.parse(raw)
            return Entered(trace.frame.line(occurrences.identity(raw), time, tokens), time, NOTHING)

        return take

    def _read(self, file: BinaryIO, take: Take) -> None:
        for line in lines(file):
            if line.number == 1 and self._plan.headed:
                continue
            try:
                entered = take(_whole(line))
            except Refused as refused:
                self._refuse(line, refused)
            else:
                self._accept(entered)
        self._flush()

    def _read_rows(self, file: BinaryIO, reader: RowReader, occurrences: Occurrences) -> None:
        """Rows that a mapping reads: what tells them apart is what it says, or else their bytes, as of a trace."""
        for number, raw, row in rows(file, reader.sheet.format, reader.sheet.delimiter):
            try:
                if isinstance(row, Refused):
                    raise row
                event, id = reader.read(row)
                event["specversion"], event["id"] = "1.0", id or occurrences.identity(raw)
                entered = self._door.enter_event(event)
            except Refused as refused:
                self._refuse(Line(number, raw, len(raw)), refused)
            else:
                self._accept(entered)
        self._flush()

    def _accept(self, entered: Entered) -> None:
        if self._pace:
            self._keep_pace(entered.time, self._pace)
        if not self._batch.takes(entered.line):
            self._flush()
        self._batch.add(entered.line)
        if entered.removed:
            self._summary.add_removed(entered.removed)

    def _refuse(self, line: Line, refused: Refused) -> None:
        if not self._batch.takes(b""):
            self._flush()
        self._batch.refuse(refused, line.content, line.length)
        self._summary.add_refusal(self._plan.path, line.number, refused)

    def _keep_pace(self, event_time: datetime, pace: float) -> None:
        """Wait until the event is due. What is due before it is appended first."""
        if self._begun is None:
            self._begun = event_time, time.monotonic()
        first, begun = self._begun
        due = begun + (event_time - first).total_seconds() / pace
        if due - time.monotonic() > AHEAD_S:
            self._flush()
        while (wait := due - time.monotonic()) > AHEAD_S:
            time.sleep(min(wait, AHEAD_S))
            self._tell()

    def _flush(self) -> None:
        accepted, rejected = len(self._batch.lines), self._batch.refused
        record = self._batch.append()
        if record is not None:
            self._summary.add(record, self._imported, accepted, rejected)
        self._tell()


def _beyond(before: int, total: int, progress: Progress, done: int) -> None:
    progress(before + done, total)


def _whole(line: Line) -> bytes:
    if line.length > MAX_LINE:
        raise Refused("", f"has {line.length:,} bytes, and a line may have {MAX_LINE:,}")
    if not line.content:
        raise Refused("", "is empty: leave it out")
    return line.content
