"""The rows of a file that a mapping reads: CSV, JSONL or Parquet, in bounded memory."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, BinaryIO, NamedTuple

from ingest.adapters.head import drop_constant
from ingest.files.lines import read_lines
from ingest.intake.limits import MAX_LINE_BYTES
from ingest.intake.rejection import Rejection
from ingest.surrogates import repair_surrogates
from ledger.errors import TallyError

BATCH_ROWS = 2_000
"""Rows of Parquet in memory at once."""


class FileRow(NamedTuple):
    """A row: its number (of its line, or among the rows of Parquet), the bytes of its identity, and its cells or the
    rejection."""

    number: int
    raw: bytes
    row: dict[str, Any] | Rejection


def read_rows(file: BinaryIO, kind: str, delimiter: str) -> Iterator[FileRow]:
    """Yield all rows of a file. TallyError where it is of another kind, or cannot be read to its end."""
    if kind == "parquet":
        return _read_parquet(file)
    return _read_csv(file, delimiter) if kind == "csv" else _read_jsonl(file)


def read_column_names(file: BinaryIO, kind: str, delimiter: str) -> list[str] | None:
    """Return the columns that every row has: of the header of CSV, or of Parquet's schema. None of JSONL, where each
    row has its own."""
    if kind == "csv":
        lines = (line.content.decode(errors="surrogateescape") + "\n" for line in read_lines(file))
        return _read_header(csv.reader(lines, delimiter=delimiter, strict=True), file)
    if kind == "parquet":
        return _read_schema(file)
    return None


def _read_header(reader: Iterator[list[str]], file: BinaryIO) -> list[str]:
    try:
        header = next(reader, [])
    except csv.Error:
        header = []
    if not header or len(set(header)) < len(header):
        raise TallyError(f"{file.name} has no header with unique names, by which a mapping finds columns: add one")
    return header


def _read_csv(file: BinaryIO, delimiter: str) -> Iterator[FileRow]:
    """Read CSV with a header; a quoted cell may hold line ends. A row with more or fewer cells than the header is
    rejected."""
    number = 0

    def read_text() -> Iterator[str]:
        nonlocal number
        for line in read_lines(file):
            number = line.number
            yield line.content.decode(errors="surrogateescape") + "\n"

    reader = csv.reader(read_text(), delimiter=delimiter, strict=True)
    header = _read_header(reader, file)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield FileRow(number, b"", Rejection("", f"is no row of CSV: {error}"))
            continue
        raw = "\x1f".join(cells).encode(errors="surrogateescape")
        if len(cells) != len(header):
            reason = f"has {len(cells)} columns, and the header has {len(header)}"
            yield FileRow(number, raw, Rejection("", reason if cells else "is empty: leave it out"))
        elif len(raw) > MAX_LINE_BYTES or not _is_text(raw):
            yield FileRow(
                number, raw[:MAX_LINE_BYTES], Rejection("", f"is not UTF-8, or has more than {MAX_LINE_BYTES:,} bytes")
            )
        else:
            yield FileRow(number, raw, dict(zip(header, cells, strict=True)))


def _read_jsonl(file: BinaryIO) -> Iterator[FileRow]:
    for line in read_lines(file):
        yield FileRow(line.number, line.content, _parse_object(line.content, line.length))


def _parse_object(content: bytes, length: int) -> dict[str, Any] | Rejection:
    if length > MAX_LINE_BYTES:
        return Rejection("", f"has {length:,} bytes, and a line may have {MAX_LINE_BYTES:,}")
    try:
        document = json.loads(repair_surrogates(content).decode(), parse_float=Decimal, parse_constant=drop_constant)
    except (ValueError, RecursionError):
        return Rejection("", "is not JSON in UTF-8: write one whole object a line")
    return document if isinstance(document, dict) else Rejection("", "is not a JSON object")


def _read_parquet(file: BinaryIO) -> Iterator[FileRow]:
    with _parquet_errors(file) as open_file:
        batches = open_file().iter_batches(BATCH_ROWS)
        for number, row in enumerate((row for batch in batches for row in batch.to_pylist()), 1):
            yield FileRow(number, json.dumps(row, default=str, sort_keys=True).encode(), row)


def _read_schema(file: BinaryIO) -> list[str]:
    with _parquet_errors(file) as open_file:
        return [str(name) for name in open_file().schema_arrow.names]


@contextmanager
def _parquet_errors(file: BinaryIO) -> Iterator[Callable[[], Any]]:
    """Give what opens the file, and turn errors of its reader into sentences."""
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    try:
        yield lambda: ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as error:
        message = " ".join(str(error).split())
        raise TallyError(
            f"{file.name} cannot be read as Parquet: {message}; rows imported before stay: repair the file and "
            "import it again for the rest"
        ) from None


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
