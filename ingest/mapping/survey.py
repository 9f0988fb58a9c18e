"""Compare a mapping with the rows of a file before anything is imported. Pure.

A column that no row has, and a count that no row holds as a number, stop an import; a column that is always empty is a
warning. Memory is bounded by the columns of the mapping and by ``MAX_NAMES`` names of the file.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ingest.intake.rejection import Rejection
from ingest.mapping.columns import MISSING, Row, find_value, is_absent, list_names
from ingest.mapping.numbers import NumberReader, make_number_readers
from ingest.mapping.sheet import MappedColumn, Sheet, describe_nearest, list_columns

MAX_NAMES = 1_000
"""Names of a file that are collected for suggestions."""
MAX_NAMED_ROWS = 1_000
"""Rows from which names are collected."""
MAX_LISTED_NAMES = 20
"""Names of the file in one message."""


@dataclass
class _ColumnState:
    """A column of the mapping, and what the rows so far showed of it."""

    mapped: MappedColumn
    number: NumberReader
    exists: bool = False
    is_filled: bool = False
    is_numeric: bool = False
    reason: str = ""
    """Why the first value is no number."""


@dataclass
class Survey:
    """The columns of a mapping, compared with the rows of one file."""

    sheet: Sheet
    rows: int = 0
    names: dict[str, None] = field(default_factory=dict)
    _columns: list[_ColumnState] = field(default_factory=list)
    _pending: list[_ColumnState] = field(default_factory=list)

    def __post_init__(self) -> None:
        columns = list(list_columns(self.sheet))
        numbers = make_number_readers([mapped.column for mapped in columns], self.sheet.numbers)
        self._columns = [_ColumnState(mapped, numbers[mapped.column]) for mapped in columns]
        self._pending = list(self._columns)
        self._absent = self.sheet.absent_words

    def add_names(self, names: Iterable[str]) -> None:
        """Add names of columns that the file has, from its header or schema."""
        self.names |= dict.fromkeys(names)

    def add(self, row: Row) -> None:
        """Add a row that could be read."""
        self.rows += 1
        if self.rows <= MAX_NAMED_ROWS and len(self.names) < MAX_NAMES and not self.is_complete:
            self.add_names(list_names(row))
        if self._pending:
            self._pending = [column for column in self._pending if not self._settle(column, row)]

    @property
    def is_complete(self) -> bool:
        """Tell whether more rows can show nothing more."""
        return not self._pending

    @property
    def is_importable(self) -> bool:
        """Tell whether every column exists, and every count that is filled was a number: only emptiness is open."""
        return all(column.exists and (column.is_numeric or not column.is_filled) for column in self._pending)

    def find_absent_columns(self) -> list[str]:
        """Describe the columns that no name of the file begins, which a header or a schema decides."""
        return [
            self._describe_missing(column.mapped)
            for column in self._columns
            if column.mapped.column not in self.sheet.optional and not self._is_begun(column.mapped.column)
        ]

    def find_errors(self) -> list[str]:
        """Describe what stops the import, each with its key, its column and the way out. Nothing where no row could be
        read: each says why itself."""
        if not self.rows:
            return []
        errors = [
            self._describe_missing(column.mapped)
            for column in self._columns
            if not column.exists and column.mapped.column not in self.sheet.optional
        ]
        return errors + [
            f"{column.mapped.key}: no row holds a number in {column.mapped.column!r}; the first value {column.reason}"
            for column in self._columns
            if column.mapped.is_count and column.is_filled and not column.is_numeric
        ]

    def find_warnings(self) -> list[str]:
        """Describe the columns that were always empty, once each."""
        empty: dict[str, list[str]] = {}
        for column in self._columns:
            if column.exists and not column.is_filled:
                empty.setdefault(column.mapped.column, []).append(column.mapped.key)
        return [f"the column {name!r} ({', '.join(keys)}) is empty" for name, keys in empty.items()]

    def _settle(self, column: _ColumnState, row: Row) -> bool:
        """Look at one column of a row. True where no more rows are needed for it."""
        value = find_value(row, column.mapped.column)
        if value is MISSING:
            return False
        column.exists = True
        if is_absent(value, self._absent):
            return False
        column.is_filled = True
        if not column.mapped.is_count:
            return True
        try:
            column.number.read(value)
        except Rejection as rejection:
            column.reason = column.reason or rejection.reason
            return False
        column.is_numeric = True
        return True

    def _is_begun(self, column: str) -> bool:
        steps = column.split(".")
        return any(".".join(steps[:count]) in self.names for count in range(1, len(steps) + 1))

    def _describe_missing(self, mapped: MappedColumn) -> str:
        return f"{mapped.key}: no column {mapped.column!r}{describe_nearest(mapped.column, list(self.names))}"
