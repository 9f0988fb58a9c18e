"""The events of a file of a row source: rows of CSV, lines of JSON, or the rows of one JSON document."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple

from ingest.adapters.adapter import INFERENCE_TYPE, Format, RowReader, RowSource, SourceEvent
from ingest.adapters.head import Container, parse_json, unpack
from ingest.files.lines import BOM, read_lines
from ingest.files.rows import FileRow, read_rows
from ingest.intake.limits import MAX_LINE_BYTES
from ingest.intake.rejection import Rejection
from ledger.errors import TallyError

MAX_DOCUMENT_BYTES = 32 << 20
"""Bytes of a JSON document, which is read as a whole."""


class Layout(NamedTuple):
    """How the rows of a file are written: its container, and the delimiter of CSV."""

    container: Container
    delimiter: str = ","


@dataclass(frozen=True)
class SourcePlan:
    """The reading of one file: its format and layout, the fields of ``--set``, the time of rows that have none, and the
    revisions of events that other files of the import had, by id."""

    format: Format
    rows: RowSource
    layout: Layout
    set_fields: dict[str, Any] = field(default_factory=dict)
    start: datetime | None = None
    copies: dict[str, int] = field(default_factory=dict)

    def make_event(self, source: str, id: str, event: SourceEvent) -> dict[str, Any]:
        """Return a CloudEvent. Raises Rejection where neither the row nor the import has a time."""
        time = event.time or self.start
        if time is None:
            raise Rejection("time", "is missing in the file: give the time of its calls with --start")
        data = {**self.set_fields, **event.data}
        if tags := {**self.set_fields.get("tags", {}), **event.data.get("tags", {})}:
            data["tags"] = tags
        envelope = {"specversion": "1.0", "id": id, "source": source, "type": INFERENCE_TYPE}
        return {**envelope, "time": time.isoformat(), "data": data}

    def is_copy(self, event: SourceEvent) -> bool:
        """Tell whether the import has read this event, as far as it had grown, in another file; remember it else."""
        if not self.rows.has_copies or event.id is None:
            return False
        revision = event.data.get("revision", 0)
        if self.copies.get(event.id, -1) >= revision:
            return True
        self.copies[event.id] = revision
        return False


class SourceRow(NamedTuple):
    """A row: its number (of its line, or among the rows of a document), its bytes, and an event of it, a rejection, or
    None where it holds no call."""

    number: int
    raw: bytes
    event: SourceEvent | Rejection | None
    is_late: bool = False
    """The event is of an earlier row, which seemed to hold no call."""


def read_events(file: BinaryIO, plan: SourcePlan, name: str) -> Iterator[SourceRow]:
    """Yield the events of all rows of the file ``name``, in their order, and those that waited for its end."""
    reader = plan.rows.make_reader(name)
    number = 0
    for number, raw, row in _read_lines(file, plan.rows.marks) if plan.rows.marks else _read_rows(file, plan.layout):
        if row is None:
            yield SourceRow(number, raw, None)
            continue
        for event in _read_row(reader, row):
            yield SourceRow(number, raw, event)
    for event in reader.finish():
        yield SourceRow(number, b"", event, is_late=True)


def _read_row(reader: RowReader, row: Any) -> list[SourceEvent | Rejection | None]:
    if isinstance(row, Rejection):
        return [row]
    try:
        return [*reader.read(row)] or [None]
    except Rejection as rejection:
        return [rejection]


def _read_lines(file: BinaryIO, marks: tuple[bytes, ...]) -> Iterator[tuple[int, bytes, Any]]:
    """Yield lines as bytes: None for those without a mark, which hold no call. Such lines may have any length."""
    for number, content, length in read_lines(file):
        for mark in marks:
            if mark in content:
                break
        else:
            yield number, content, None
            continue
        if length > MAX_LINE_BYTES:
            yield number, content, Rejection("", f"has {length:,} bytes, and a line may have {MAX_LINE_BYTES:,}")
        else:
            yield number, content, content


def _read_rows(file: BinaryIO, layout: Layout) -> Iterator[tuple[int, bytes, Any]]:
    if layout.container == "json":
        yield from _read_document(file)
        return
    for number, raw, row in read_rows(file, layout.container, layout.delimiter):
        if isinstance(row, Rejection) or layout.container == "csv":
            yield number, raw, _strip_names(row)
            continue
        yield from ((number, raw, item) for item in unpack(row))


def _strip_names(row: dict[str, Any] | Rejection) -> dict[str, Any] | Rejection:
    return row if isinstance(row, Rejection) else {name.strip(): value for name, value in row.items()}


def _read_document(file: BinaryIO) -> Iterator[FileRow]:
    content = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(content) > MAX_DOCUMENT_BYTES:
        raise TallyError(
            f"{file.name} is one JSON document of more than {MAX_DOCUMENT_BYTES:,} bytes: write an object a line "
            "(jq -c '.[]' FILE, or jq -c '.data[]' FILE)"
        )
    document = parse_json(content.removeprefix(BOM))
    if not isinstance(document, (dict, list)):
        raise TallyError(f"{file.name} is no JSON document in UTF-8 to its end: export it again")
    for number, row in enumerate(unpack(document), 1):
        yield FileRow(number, json.dumps(row, default=str, sort_keys=True).encode(), dict(row))
