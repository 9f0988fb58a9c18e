"""The beginning of a file: its container (CSV, JSON lines, or one JSON document) and its first rows. Pure."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from ingest.surrogates import repair_surrogates, repair_text

Container = Literal["csv", "jsonl", "json"]
MAX_HEAD_ROWS = 50
DELIMITERS = (",", ";", "\t")
_DATA = re.compile(r'"data"\s*:\s*\[')


class Head(NamedTuple):
    """A file's first line, its container, the first rows of JSON, and the header and delimiter of CSV."""

    first: bytes
    container: Container
    rows: tuple[Mapping[str, Any], ...] = ()
    header: tuple[str, ...] = ()
    delimiter: str = ","

    def has(self, *names: str) -> bool:
        """Tell whether the header, or one of the first rows, has all of these names."""
        wanted = set(names)
        return wanted <= set(self.header) or any(wanted <= row.keys() for row in self.rows)


def read_head(beginning: bytes, *, is_cut: bool = False) -> Head:
    """Read the beginning of a file, without byte order mark: at least its first line. ``is_cut`` where that line goes
    on beyond it."""
    first = beginning.split(b"\n", 1)[0].rstrip(b"\r")
    text = beginning.decode(errors="replace")
    start = text.lstrip()[:1]
    if start == "[":
        return Head(first, "json", tuple(_first_items(text)))
    if start == "{":
        if not is_cut and isinstance(parse_json(first), dict):
            lines = beginning.split(b"\n", MAX_HEAD_ROWS)[:MAX_HEAD_ROWS]
            rows = [row for line in lines for row in unpack(parse_json(line))]
            return Head(first, "jsonl", tuple(rows[:MAX_HEAD_ROWS]))
        return Head(first, "json", tuple(_first_items(text)))
    header, delimiter = _read_header(first.decode(errors="replace"))
    return Head(first, "csv", (), header, delimiter)


def parse_json(text: bytes | str) -> Any:
    """Parse JSON with exact decimals; None where it is none, as for NaN and infinities."""
    try:
        text = repair_text(text) if isinstance(text, str) else repair_surrogates(text)
        return json.loads(text, parse_float=Decimal, parse_constant=drop_constant)
    except (ValueError, RecursionError):
        return None


def drop_constant(name: str) -> None:
    """Return None for NaN and infinities, which are no values."""


def unpack(document: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a document: the objects of a list, those of the ``data`` of a page or of pages, or the object
    itself."""
    if isinstance(document, Mapping):
        data = document.get("data")
        if not isinstance(data, list):
            yield document
            return
        document = data
    if isinstance(document, list):
        for item in document:
            if isinstance(item, Mapping):
                yield from unpack(item)


def _first_items(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the first objects of a document that may be cut off."""
    if (document := parse_json(text)) is not None:
        yield from list(unpack(document))[:MAX_HEAD_ROWS]
        return
    data = _DATA.search(text)
    position = text.find("[") + 1 if text.lstrip().startswith("[") else data.end() if data else 0
    decoder = json.JSONDecoder(parse_float=Decimal)
    for _ in range(MAX_HEAD_ROWS if position else 0):
        rest = text[position:].lstrip(" \t\r\n,")
        position = len(text) - len(rest)
        try:
            item, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return
        position = end
        if isinstance(item, dict):
            yield from unpack(item)


def _read_header(line: str) -> tuple[tuple[str, ...], str]:
    best: tuple[tuple[str, ...], str] = ((), ",")
    for delimiter in DELIMITERS:
        try:
            cells = tuple(cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True), []))
        except csv.Error:
            continue
        if len(cells) > len(best[0]):
            best = cells, delimiter
    return best
