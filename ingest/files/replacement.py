"""Replace what a source has on the log by what files give: keep, revise, reverse and add.

The events in force are read from ``tally.entries``, and their content from ``tally.events``. An event that differs is
appended again with the next revision; one that the files no longer hold is reversed by a correction. So nothing on the
log is rewritten, a second run changes nothing, and one that was interrupted is completed by the next.
"""

import difflib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ingest.adapters.adapter import INFERENCE_TYPE
from ingest.files.importer import read_plans
from ingest.files.outcomes import Progress
from ingest.files.plan import Options, Plan, plan_import
from ingest.files.source_table import Change, Counts, SourceTable
from ingest.files.summary import Imported, Summary
from ingest.intake.batch import MAX_EVENTS, Batch, Envelope
from ingest.intake.intake import Intake, open_intake
from ingest.intake.rejection import Rejection
from ledger import outcomes
from ledger.errors import TallyError
from ledger.log import Log, partition_of, records
from ledger.log.topics import ENTRIES, EVENTS
from ledger.settings import Settings
from tallystick import Correction, CorrectionEvent, InferenceEvent
from tallystick.vocabulary.observation import Target

CORRECTION_SOURCE = "tally-import"
REASON = "tally import --replace: the files of the source no longer hold it"
MAX_SOURCE_LENGTH = 256
MAX_SOURCES = 1_000
"""Sources of the log that are kept for an error that names the nearest."""


class _EntryLine(msgspec.Struct):
    organization: str
    outcome: str
    kind: str = ""
    reason: str = ""
    pricing: str = ""
    source: str = ""
    id: str = ""
    event_index: int = 0
    original_offset: int = -1
    original_index: int = -1


_REVERSAL = b'"action":"reversal"'
_decode_entry = msgspec.json.Decoder(_EntryLine).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Content(NamedTuple):
    """What is compared of an event: a hash of all but its revision, and the revision; 0 where it has none."""

    digest: bytes
    revision: int


class Replacement(NamedTuple):
    """A replacement that is ready to be appended: what it would change, and the summary of the files that were read."""

    counts: Counts
    apply: Callable[[Progress], Summary]
    reading: Summary


@contextmanager
def plan_replacement(
    log: Log,
    settings: Settings,
    source: str,
    files: Sequence[Path],
    options: Options,
    progress: Progress = lambda done_bytes, total: None,
) -> Iterator[Replacement]:
    """Compare files with the events of a source that are in force. The folds have reached the end of the log.

    The files are read as an import reads them. Nothing is appended before ``apply`` is called; it returns the summary
    of the events that were appended. TallyError where a line is rejected, is of another source or is no inference, and
    where the log has no such source: the message names the nearest."""
    intake = open_intake(settings.home, settings.organization)
    plans, reading = _plan_source(files, options, source, intake)
    with closing(SourceTable()) as table:
        _read_source(log, settings.organization, source, table)
        read_plans(plans, intake, _Staging(table, source), reading, None, progress)
        if reading.refusals:
            path, line, field, reason = reading.refusals[0]
            raise TallyError(
                f"{reading.rejected:,} lines were rejected, the first is {path}, line {line}: "
                f"{' '.join(filter(None, (field, reason)))}. Nothing was changed, since the events of such lines would "
                "be taken for removed ones: repair the lines or leave them out"
            )
        apply = partial(_append_changes, log, settings, source, table, intake, plans)
        yield Replacement(table.count(), apply, reading)


def _plan_source(files: Sequence[Path], options: Options, source: str, intake: Intake) -> tuple[list[Plan], Summary]:
    """Plan the files so that their events have the source: by themselves, or, where none has, because it is set."""
    if options.pace is not None:
        raise TallyError("--pace replays a trace, and --replace compares it whole: leave one of them out")
    if len(source) > MAX_SOURCE_LENGTH:
        raise TallyError(f"--replace has {len(source)} characters; a correction names at most {MAX_SOURCE_LENGTH}")
    if options.source not in (None, source):
        raise TallyError(f"--source {options.source!r} is not the source that --replace names: leave --source out")
    is_mapped = options.mapping is not None  # a mapping has one source: files are checked once, with the right one
    plans, summary = plan_import(files, replace(options, source=source) if is_mapped else options, intake)
    if any(plan.source in (None, source) for plan in plans):  # a file of another source among them is refused
        return plans, summary
    return plan_import(files, replace(options, source=source), intake)


class _Staging:
    """Takes the place of a batch: the events of the files go into the table, and nothing to the log."""

    def __init__(self, table: SourceTable, source: str) -> None:
        self.lines: list[bytes] = []
        self.refused = 0
        self._table = table
        self._source = source

    def has_room_for(self, line: bytes) -> bool:
        return len(self.lines) + self.refused < MAX_EVENTS

    def add(self, line: bytes) -> None:
        event = _decode(line)
        if event["source"] != self._source:
            raise TallyError(
                f"the files hold events of the source {event['source']!r}, and --replace names {self._source!r}: "
                "replace one source at a time. Nothing was changed"
            )
        if event["type"] != INFERENCE_TYPE:
            raise TallyError(
                f"the files hold {event['type']!r}, and --replace is for inferences: import such events without it. "
                "Nothing was changed"
            )
        self._table.stage(event["id"], *_read_content(event), line)
        self.lines.append(line)

    def refuse(self, rejection: Rejection, raw: bytes, length: int) -> None:
        self.refused += 1

    def append(self) -> None:
        self.lines, self.refused = [], 0


def _read_content(event: dict[str, Any]) -> Content:
    revision = event["data"].pop("revision", 0)
    digest = hashlib.blake2b(_encode(event), digest_size=16).digest()
    return Content(digest, revision if type(revision) is int else 0)


def _read_source(log: Log, organization: str, source: str, table: SourceTable) -> None:
    """Read the events of a source that are in force, with their content. TallyError where the log has none."""
    partition = partition_of(organization)
    sources: set[str] = set()
    # A line that fell due stands in whichever record came then, so the lines say whose they are.
    name = _encode(organization)
    for record in records(log, ENTRIES, partition):
        values = record.value.split(b"\n") if name in record.value else []
        for line in map(_decode_entry, values):
            if line.organization != organization or line.kind != "inference":
                continue
            if line.outcome not in outcomes.OUTCOMES or line.source == source:
                _enter_line(line, record.cause_offset, table)
            elif len(sources) < MAX_SOURCES:
                sources.add(line.source)
    if not table.has_events():
        raise TallyError(_describe_missing(organization, source, sources))
    for record in records(log, EVENTS, partition):
        positions = table.list_events(record.offset)
        values = record.value.split(b"\n") if positions or _REVERSAL in record.value else []
        for id, event_index in positions:
            table.describe(id, *_read_content(_decode(values[event_index])))
        for event_index, value in enumerate(values):
            if _REVERSAL in value and record.organization == organization:
                target = _decode(value)["data"]["of"]
                if target["source"] == source:
                    table.reverse_held(target["id"], (record.offset, event_index))


def _enter_line(line: _EntryLine, offset: int, table: SourceTable) -> None:
    """Enter one line of ``tally.entries``. A restatement changes what an entry costs, and not which one is in force."""
    original, place = (line.original_offset, line.original_index), (offset, line.event_index)
    match line.outcome:
        case outcomes.COUNTED | outcomes.HELD | outcomes.QUARANTINED:
            table.enter(line.id, place, line.outcome == outcomes.COUNTED, line.outcome == outcomes.HELD)
        case outcomes.REVERSAL if line.reason != outcomes.RESTATEMENT:
            table.reverse(original)
        case outcomes.REPLACEMENT:
            table.replace(original, place, is_own=False)
        case outcomes.RELEASE if line.pricing:
            # By an acceptance, a line counts that had a conflict: whatever it holds, the files decide anew.
            table.replace(original, place, is_own=line.reason != outcomes.CONFLICT)


def _describe_missing(organization: str, source: str, sources: set[str]) -> str:
    if not sources:
        return f"{organization} has no events on the log: import the files without --replace"
    nearest = difflib.get_close_matches(source, sources, 3, 0.0)
    return (
        f"{organization} has no events of the source {source!r} on the log. The nearest of its sources: "
        f"{', '.join(map(repr, nearest))}. A source that is new is imported without --replace"
    )


def _append_changes(
    log: Log,
    settings: Settings,
    source: str,
    table: SourceTable,
    intake: Intake,
    plans: Sequence[Plan],
    progress: Progress = lambda done_events, total: None,
) -> Summary:
    """Append what differs. Ctrl-C ends it: the summary has what was appended, and a second run adds the rest."""
    batch = Batch(log, Envelope(settings.organization, "import", "local"), intake.key)
    summary = Summary()
    imported = Imported(plans[0].path, plans[0].format, source)
    summary.files.append(imported)
    total, accepted = table.count().changes, 0

    def flush() -> None:
        count = len(batch.lines)
        if (record := batch.append()) is not None:
            summary.add(record)
            imported.accepted += count
        progress(accepted, total)

    try:
        for change in table.list_changes():
            line = _build_line(source, change)
            if not batch.has_room_for(line):
                flush()
            batch.add(line)
            accepted += 1
        flush()
    except KeyboardInterrupt as interrupted:
        summary.interrupted = interrupted
    return summary


def _build_line(source: str, change: Change) -> bytes:
    """Build the event that makes the change: the staged one, it with a revision, or a correction that reverses."""
    if change.line is None:
        name = _encode((source, change.id, change.entry))
        correction = Correction(action="reversal", of=Target(source=source, id=change.id), reason=REASON)
        return CorrectionEvent(
            id=f"reversal-{hashlib.blake2b(name, digest_size=16).hexdigest()}", source=CORRECTION_SOURCE,
            time=datetime.now(UTC), data=correction,
        ).canonical()  # fmt: skip
    if change.revision is None:
        return change.line
    event = InferenceEvent.model_validate_json(change.line)
    data = event.data.model_copy(update={"revision": change.revision})
    return event.model_copy(update={"data": data}).canonical()
