"""Read the rows of a file by a mapping. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic import ValidationError

from ingest.adapters.adapter import INFERENCE_TYPE
from ingest.adapters.cells import format_money
from ingest.adapters.identity import join_identity
from ingest.intake.rejection import Rejection
from ingest.mapping.columns import MISSING, Row, find_value, is_absent
from ingest.mapping.numbers import make_number_readers
from ingest.mapping.sheet import Constant, Rule, Sheet, Words, find_column, list_columns
from ingest.mapping.times import TimeReader
from ledger.inference_fields import MAX_COUNT
from tallystick import Inference
from tallystick.vocabulary.fitting import fit_fields


class MappedRow(NamedTuple):
    """The event of a row without its id, and the id where columns give it."""

    event: dict[str, Any]
    id: str | None


class RowReader:
    """Reads rows by a mapping; ``set_fields`` are the fields that ``--set`` adds to every row."""

    def __init__(self, sheet: Sheet, set_fields: Mapping[str, Any]) -> None:
        self.sheet = sheet
        self._set_fields = set_fields
        self._number_fields = {name for name in sheet.fields if _takes_numbers(name)}
        self._numbers = make_number_readers([mapped.column for mapped in list_columns(sheet)], sheet.numbers)
        self._time = TimeReader(sheet.time)
        self._absent = sheet.absent_words

    def read(self, row: Row) -> MappedRow:
        """Read one row. Raises Rejection where its time, its id or a count cannot be read. Any other field that does
        not fit is left out, and ``left_out`` names it."""
        values: dict[str, Any] = {"adapter": "mapping", **self._set_fields}
        for name, rule in self.sheet.fields.items():
            if (value := self._find(rule, row)) is not None:
                self._read_field(name, rule, value, values)
        tags = {name: value for name, rule in self.sheet.tags.items() if (value := self._find(rule, row)) is not None}
        values["tags"] = {**self._set_fields.get("tags", {}), **tags}
        tokens = self._read_counts(self.sheet.tokens, row)
        values["tokens"] = self._subtract_parts(tokens)
        values["quantities"] = self._read_counts(self.sheet.quantities, row)
        values["reported_tokens"] = self._read_counts(self.sheet.reported, row)
        if (calls := self._read_calls(row, values)) is not None:
            values["calls"] = calls
        data = fit_fields({name: value for name, value in values.items() if value != {}}).fields
        time = self._read_time(row).isoformat()
        event = {"source": self.sheet.source, "type": INFERENCE_TYPE, "time": time, "data": data}
        return MappedRow(event, self._read_identity(row))

    def _find(self, rule: Rule, row: Row) -> Any:
        """Return the value of a rule in a row; None where it is absent."""
        if isinstance(rule, Constant):
            return rule.value
        value = find_value(row, rule.column if isinstance(rule, Words) else rule)
        if isinstance(rule, Words) and value is not MISSING:
            value = rule.words.get(_to_text(value), value)
        return None if is_absent(value, self._absent) else value

    def _read_field(self, name: str, rule: Rule, value: Any, values: dict[str, Any]) -> None:
        """Add a field; a number that cannot be read stays as it is, for the vocabulary to judge."""
        values[name] = value
        column = find_column(rule)
        if column is None:
            return
        if name == "revision":
            values[name] = self._parse_count(column, value)
        elif name == "claimed_cost":
            self._read_claim(column, value, values)
        elif name in self._number_fields:
            try:
                values[name] = self._numbers[column].read(value).number
            except Rejection:
                return

    def _read_claim(self, column: str, value: Any, values: dict[str, Any]) -> None:
        """Add a claimed amount, and the currency of the sign beside it, unless the row or the mapping names one."""
        try:
            amount = self._numbers[column].read(value)
        except Rejection:
            return
        if (number := format_money(amount.number)) is not None:
            values["claimed_cost"] = f"{amount.currency} {number}" if amount.currency else number

    def _read_counts(self, columns: Mapping[Any, str], row: Row) -> dict[str, int]:
        counts = ((name, self._read_count(column, row)) for name, column in columns.items())
        return {name: count for name, count in counts if count is not None}

    def _read_count(self, column: str, row: Row) -> int | None:
        value = find_value(row, column)
        return None if is_absent(value, self._absent) else self._parse_count(column, value)

    def _parse_count(self, column: str, value: Any) -> int:
        """Read a count. Programs without absent numbers write 12.0."""
        number, currency = self._numbers[column].read(value)
        if currency is not None:
            raise Rejection(column, "is an amount of money, and a count is expected: map another column")
        if number < 0:
            raise Rejection(column, "is below zero, and must be a whole number from 0 on: correct the file")
        if number != number.to_integral_value() or number > MAX_COUNT:
            raise Rejection(column, f"must be a whole number from 0 to {MAX_COUNT:,}")
        return int(number)

    def _subtract_parts(self, counts: dict[str, int]) -> dict[str, int]:
        """Subtract from each total the classes that it includes, so that classes are disjoint."""
        tokens = dict(counts)
        for total_class, parts in self.sheet.includes.items():
            if total_class not in counts:
                continue
            included = {part: counts[part] for part in parts if part in counts}
            tokens[total_class] = counts[total_class] - sum(included.values())
            if tokens[total_class] < 0:
                terms = " and ".join(f"{part} is {count:,}" for part, count in included.items())
                raise Rejection(
                    self.sheet.tokens[total_class],
                    f"is {counts[total_class]:,} and is less than what it is to include: {terms}; if the column does "
                    f"not include them, take `includes.{total_class}` out of the mapping",
                )
        return tokens

    def _read_calls(self, row: Row, values: Mapping[str, Any]) -> int | None:
        """Read how many calls a row stands for."""
        column = self.sheet.calls
        calls = self._read_count(column, row) if column is not None else None
        if column is not None and calls == 0:
            used = [count for name in ("tokens", "quantities") for count in values[name].values() if count]
            reason = "and has usage: correct the file" if used else "and has no usage: leave the row out"
            raise Rejection(column, f"is 0, so the row stands for no call, {reason}")
        return calls

    def _read_time(self, row: Row) -> Any:
        column = self.sheet.time.column
        value = find_value(row, column)
        if is_absent(value, self._absent):
            raise Rejection(column, "is empty: a row needs its time")
        return self._time.read(value)

    def _read_identity(self, row: Row) -> str | None:
        """Join the columns of the id. One of several may be empty; that is a key of its own."""
        columns = self.sheet.id
        if not columns:
            return None
        values = [find_value(row, column) for column in columns]
        parts = ["" if is_absent(value, self._absent) else _to_text(value) for value in values]
        if not any(parts):
            raise Rejection(columns[0], "is empty: it tells a row from the others")
        return join_identity(parts)


def _takes_numbers(name: str) -> bool:
    try:
        Inference.model_validate({name: 1})
    except ValidationError:
        return False
    return True


def _to_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)
