"""Azure's LLM inference traces (Azure Public Dataset, CC-BY 4.0): CSV with a time and two counts of tokens.

The trace of 2023 writes times as ``2023-11-16 18:17:03.9799600``; a zone (``+00:00``) may follow. A time
without one is UTC; digits beyond microseconds are cut off.
"""

import re
from datetime import UTC, datetime

from ingest.adapters.adapter import Format, Parse, TraceLine
from ingest.intake.rejection import Rejection
from ledger.inference_fields import MAX_COUNT

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_HEADER = ",".join(COLUMNS).encode()
_TIME = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?"
_LINE = re.compile(rf"({_TIME}),(\d{{1,13}}),(\d{{1,13}})", re.ASCII)


def _parse_line(raw: bytes) -> TraceLine:
    try:
        line = raw.decode()
    except UnicodeDecodeError:
        raise Rejection("", "is not UTF-8") from None
    match = _LINE.fullmatch(line)
    if match is None:
        raise _explain_line(line)
    timestamp, input_count, output_count = match.groups()
    try:
        time = datetime.fromisoformat(timestamp)
    except ValueError:
        raise Rejection("TIMESTAMP", "is no moment of the calendar", line.split(",")) from None
    tokens = {"input": int(input_count), "output": int(output_count)}
    if max(tokens.values()) > MAX_COUNT:
        raise _explain_line(line)
    return TraceLine(time if time.tzinfo else time.replace(tzinfo=UTC), tokens)


def _explain_line(line: str) -> Rejection:
    """Return the rejection of a line that does not have the form of the trace: its first wrong column."""
    cells = line.split(",")
    if len(cells) != len(COLUMNS):
        return Rejection("", f"has {len(cells)} columns, and must have the {len(COLUMNS)} of the header", cells)
    if not re.fullmatch(_TIME, cells[0], re.ASCII):
        return Rejection("TIMESTAMP", "must look like 2023-11-16 18:17:03.9799600", cells)
    field = next(
        column
        for column, cell in zip(COLUMNS[1:], cells[1:], strict=True)
        if not re.fullmatch(r"\d{1,13}", cell, re.ASCII) or int(cell) > MAX_COUNT
    )
    return Rejection(field, f"must be a whole number from 0 to {MAX_COUNT:,}", cells)


def _make_parser(start: datetime | None) -> Parse:
    return _parse_line


FORMAT = Format(
    name="azure-llm",
    known_by=f"the header {','.join(COLUMNS)} (CSV)",
    recognises=lambda head: head.first == _HEADER,
    classes=("input", "output"),
    trace=_make_parser,
    has_header=True,
)
