"""The plan of an import: every file and option is checked before anything is written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ingest.adapters.adapter import INFERENCE_TYPE, TRACE_FIELDS, Parse
from ingest.adapters.head import Head
from ingest.adapters.registry import Format, get_format, recognize_format
from ingest.files.folders import Beginning, expand_folders, read_beginning
from ingest.files.mapping_check import check_mapping
from ingest.files.set_options import parse_set_options
from ingest.files.source_rows import Layout, SourcePlan
from ingest.files.summary import Summary
from ingest.files.trace_template import Frame
from ingest.intake.intake import Intake
from ingest.intake.privacy import Data, Removed
from ingest.intake.rejection import Rejection
from ingest.mapping.reader import RowReader
from ingest.mapping.sheet import parse_sheet
from ledger.errors import TallyError
from ledger.moments import moment_of

_UNREADABLE_FORMATS = {
    b"\x1f\x8b": "is compressed by gzip: unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd: unpack it first",
    b"PK\x03\x04": "is a ZIP archive or a workbook: unpack it, or save its sheet as CSV",
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
}
"""First bytes of files that no format reads, and the way out."""


@dataclass(frozen=True)
class Options:
    """Options of an import: the source, ``field=value`` for what a trace does not hold, the start of relative times,
    the pace as a multiple of the trace's (None: as fast as possible), the mapping of columns, and the name of a format
    (None: files are recognized)."""

    source: str | None = None
    sets: Sequence[str] = ()
    start: datetime | None = None
    pace: float | None = None
    mapping: Path | None = None
    format: str | None = None


@dataclass(frozen=True)
class Trace:
    """The parser of a trace's lines, and the frame that all of its events share."""

    parse: Parse
    frame: Frame


@dataclass(frozen=True)
class Plan:
    """One file and its reader: ``rows`` by a mapping, ``trace`` or ``source_rows`` by a format, or none of them where
    its lines are events."""

    path: Path
    size: int
    format: str
    has_header: bool = False
    source: str | None = None
    trace: Trace | None = None
    rows: RowReader | None = None
    warnings: Sequence[str] = ()
    source_rows: SourcePlan | None = None


def parse_start(text: str) -> datetime:
    """Parse a moment; without a zone it is UTC. TallyError for any other text."""
    try:
        return moment_of(text)
    except ValueError:
        raise TallyError(f"--start {text!r} is no moment: write it like 2024-06-01T00:00:00Z") from None


def plan_import(files: Sequence[Path], options: Options, intake: Intake) -> tuple[list[Plan], Summary]:
    """Check all options, files, and session files of folders. Return a plan for each file, and the summary to fill: it
    has what was left out of folders, and warnings. TallyError before anything is written."""
    paths, skipped = expand_folders(files, any_format=bool(options.format or options.mapping))
    plans = _plan_files(paths, options, intake)
    return plans, Summary(skipped_files=skipped, warnings=[warning for plan in plans for warning in plan.warnings])


def _plan_files(files: Sequence[Path], options: Options, intake: Intake) -> list[Plan]:
    if options.pace is not None and not (math.isfinite(options.pace) and options.pace > 0):
        raise TallyError(f"--pace {options.pace} must be above zero: 1 is the trace's own pace, 60 an hour a minute")
    data = parse_set_options(options.sets, TRACE_FIELDS)
    if options.mapping is not None and options.format is not None:
        raise TallyError("--format and --mapping exclude each other: give one of them")
    if options.mapping is not None:
        return _plan_mapped(files, options.mapping, options, data)
    copies: dict[str, dict[str, int]] = {}
    return [_plan_file(path, options, data, intake, copies) for path in files]


def _plan_mapped(files: Sequence[Path], mapping: Path, options: Options, data: Data) -> list[Plan]:
    try:
        text = mapping.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise TallyError(f"cannot read --mapping {mapping}: {error}") from None
    if options.start is not None:
        raise TallyError("--start is for traces with relative times, and the mapping reads absolute ones: leave it out")
    sheet = parse_sheet(text, str(mapping), data)
    if options.source is not None:
        sheet = sheet.model_copy(update={"source": options.source})
    format_name, reader = f"{sheet.format} by {mapping.name}", RowReader(sheet, data)
    sizes = [_inspect_file(path)[0] for path in files]
    warnings = [check_mapping(path, mapping, sheet) for path in files]
    return [
        Plan(path, size, format_name, source=sheet.source, rows=reader, warnings=warnings_of_file)
        for path, size, warnings_of_file in zip(files, sizes, warnings, strict=True)
    ]


def _plan_file(path: Path, options: Options, data: Data, intake: Intake, copies: dict[str, dict[str, int]]) -> Plan:
    size, beginning = _inspect_file(path)
    head = beginning.parse_head()
    trace_format = recognize_format(head, str(path)) if options.format is None else get_format(options.format)
    if trace_format.rows is not None:
        return _plan_rows(path, size, head, trace_format, options, data, copies)
    if trace_format.trace is None:
        for name, value in (
            ("--source", options.source),
            ("--set", options.sets),
            ("--start", options.start),
        ):
            if value:
                raise TallyError(f"{name} is for traces, and {path} holds complete events: leave it out")
        return Plan(path, size, trace_format.name)
    if options.start is not None and trace_format.start is None:
        raise TallyError(
            f"--start is for relative times; those of {path} ({trace_format.name}) are absolute: leave it out"
        )
    start = options.start or trace_format.start
    source = trace_format.name if options.source is None else options.source
    cleaned = intake.clean("inference", data | {"adapter": trace_format.name}, Removed())
    try:
        frame = Frame(intake.conceal({"source": source, "type": INFERENCE_TYPE, "data": cleaned}), trace_format.classes)
        if start:
            frame.line("", start, dict.fromkeys(trace_format.classes, 0))
    except Rejection as refused:
        raise TallyError(f"--source, --set or --start is not possible: {refused}") from None
    intake.keep_names()
    return Plan(path, size, trace_format.name, trace_format.has_header, source, Trace(trace_format.trace(start), frame))


def _plan_rows(
    path: Path,
    size: int,
    head: Head,
    row_format: Format,
    options: Options,
    data: Data,
    copies: dict[str, dict[str, int]],
) -> Plan:
    assert row_format.rows is not None
    if clashes := sorted(data.keys() & row_format.rows.fields):
        raise TallyError(f"--set {clashes[0]}: {row_format.name} has {clashes[0]!r} itself: leave it out")
    if options.start is not None and not row_format.rows.may_lack_time:
        raise TallyError(
            f"--start is for rows without a time; those of {path} ({row_format.name}) have one: leave it out"
        )
    source = row_format.name if options.source is None else options.source
    layout = Layout(head.container, head.delimiter)  # without rows: plans of all files of a folder are kept
    plan = SourcePlan(row_format, row_format.rows, layout, data, options.start, copies.setdefault(source, {}))
    return Plan(path, size, row_format.name, source=source, source_rows=plan)


def _inspect_file(path: Path) -> tuple[int, Beginning]:
    """Return the size of a file and its first lines. TallyError where it cannot be imported."""
    try:
        if not path.is_file():
            problem = "is no regular file" if path.exists() else "does not exist"
            raise TallyError(f"{path} {problem}: name a file on disk")
        beginning = read_beginning(path)
        if not beginning.content.strip():
            raise TallyError(f"{path} is empty: there is nothing to import")
        for magic, problem in _UNREADABLE_FORMATS.items():
            if beginning.content.startswith(magic):
                raise TallyError(f"{path} {problem}")
        return path.stat().st_size, beginning
    except OSError as error:
        raise TallyError(f"cannot read {path}: {error.strerror}; nothing was imported") from error
