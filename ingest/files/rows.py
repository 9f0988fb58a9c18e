"""The rows of a file that a mapping reads: CSV, JSONL or Parquet, in bounded memory."""

import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO, NamedTuple

from ingest.files.lines import lines
from ingest.intake.limits import MAX_LINE
from ingest.intake.rejection import Refused
from ledger.errors import TallyError

A_BATCH = 2_000
"""Rows of Parquet that are held at once."""


class Read(NamedTuple):
    """A row: its number (of its line, or among the rows of Parquet), the bytes that tell it from others, and what it
    says or why it cannot be read."""

    number: int
    raw: bytes
    row: dict[str, Any] | Refused


def rows(file: BinaryIO, kind: str, delimiter: str) -> Iterator[Read]:
    """All rows of a file. TallyError where it is of another kind, or cannot be read to its end."""
    if kind == "parquet":
        return _parquet(file)
    return _csv(file, delimiter) if kind == "csv" else _jsonl(file)


def _csv(file: BinaryIO, delimiter: str) -> Iterator[Read]:
    """With a header; a quoted cell may hold line ends. Cells beyond the header's, or too few, refuse the row."""
    number = 0

    def text() -> Iterator[str]:
        nonlocal number
        for line in lines(file):
            number = line.number
            yield line.content.decode(errors="surrogateescape") + "\n"

    reader = csv.reader(text(), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
    except csv.Error:
        header = []
    if not header or len(set(header)) < len(header):
        raise TallyError(f"{file.name} has no header whose names differ: a mapping names columns by it")
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Read(number, b"", Refused("", f"is no row of CSV: {error}"))
            continue
        raw = "\x1f".join(cells).encode(errors="surrogateescape")
        if len(cells) != len(header):
            why = f"has {len(cells)} columns, and the header has {len(header)}"
            yield Read(number, raw, Refused("", why if cells else "is empty: leave it out"))
        elif len(raw) > MAX_LINE or not _is_text(raw):
            yield Read(number, raw[:MAX_LINE], Refused("", f"is not UTF-8, or has more than {MAX_LINE:,} bytes"))
        else:
            yield Read(number, raw, dict(zip(header, cells, strict=True)))


def _jsonl(file: BinaryIO) -> Iterator[Read]:
    for line in lines(file):
        yield Read(line.number, line.content, _object(line.content, line.length))


def _object(content: bytes, length: int) -> dict[str, Any] | Refused:
    if length > MAX_LINE:
        return Refused("", f"has {length:,} bytes, and a line may have {MAX_LINE:,}")
    try:
        said = json.loads(content.decode(), parse_float=Decimal, parse_constant=_none)
    except (ValueError, RecursionError):
        return Refused("", "is not JSON in UTF-8: one whole object a line is")
    return said if isinstance(said, dict) else Refused("", "is not a JSON object")


def _none(name: str) -> None:
    """NaN and infinities are no values."""


def _parquet(file: BinaryIO) -> Iterator[Read]:
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    try:
        batches = ParquetFile(file).iter_batches(A_BATCH)
        for number, row in enumerate((row for batch in batches for row in batch.to_pylist()), 1):
            yield Read(number, json.dumps(row, default=str, sort_keys=True).encode(), row)
    except (pyarrow.ArrowException, OSError) as error:
        said = " ".join(str(error).split())
        raise TallyError(
            f"{file.name} cannot be read as Parquet: {said}; what was imported stays, and mended it adds the rest"
        ) from None


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
