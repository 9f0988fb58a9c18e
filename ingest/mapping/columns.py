"""The value of a column, or of a path into what a row holds. Pure.

``metadata.usage.cached`` is the column of that name; or the longest column whose name begins it, and the rest is a path
into objects, lists (by index from 0) and texts of JSON. So names that hold dots stay addressable, at every depth.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from ingest.adapters import head

Row = Mapping[str, Any]

ABSENT_WORDS = frozenset({"", "NaN", "nan", "null", "NULL", "\\N"})
"""Texts that databases and programs write for an absent value."""
_MAX_INDEX_DIGITS = 6


class _Missing:
    """The value of a column that a row does not have."""

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()


def find_value(row: Row, column: str) -> Any:
    """Return the value of a column or path; ``MISSING`` where the row does not have it."""
    if column in row:
        return row[column]
    return _follow(row, column.split(".")) if "." in column else MISSING


def is_absent(value: Any, words: frozenset[str] = ABSENT_WORDS) -> bool:
    """Tell whether a value stands for none: missing, null, NaN, or one of the words, with spaces around or without."""
    if isinstance(value, str):
        return value in words or value.strip() in words
    if isinstance(value, Decimal):
        return value.is_nan()
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or value is MISSING


def list_names(row: Row, max_depth: int = 3) -> list[str]:
    """Return the names and paths that a row has, also those within texts of JSON."""
    names: list[str] = []
    _collect_names(row, "", max_depth, names)
    return names


def _follow(value: Any, steps: Sequence[str]) -> Any:
    if not steps:
        return value
    if isinstance(value, str):
        value = parse_json(value)
    if isinstance(value, Mapping):
        for count in range(len(steps), 0, -1):
            name = ".".join(steps[:count])
            if name in value and (inner := _follow(value[name], steps[count:])) is not MISSING:
                return inner
    elif isinstance(value, list):
        index = steps[0]
        if index.isascii() and index.isdigit() and len(index) <= _MAX_INDEX_DIGITS and int(index) < len(value):
            return _follow(value[int(index)], steps[1:])
    return MISSING


@lru_cache(maxsize=16)
def parse_json(text: str) -> Any:
    """Parse the object or list of a cell; None where the text is none. Several paths lead into one cell."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    return head.parse_json(text)


def _collect_names(value: Any, prefix: str, depth: int, names: list[str]) -> None:
    if isinstance(value, str):
        value = parse_json(value)
    items: Any = (
        value.items() if isinstance(value, Mapping) else enumerate(value[:1]) if isinstance(value, list) else ()
    )
    for name, inner in items:
        path = f"{prefix}{name}"
        names.append(path)
        if depth > 1:
            _collect_names(inner, f"{path}.", depth - 1, names)
