"""A mapping: a small YAML file that assigns the columns of any file to fields of an event. Pure.

It has no expressions: a field is a column, a constant, or a column with its words translated. A test runs each example
of docs/import.md.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ingest.adapters.adapter import INFERENCE_TYPE, MAX_COUNT
from ingest.intake.rejection import Rejection
from ledger.errors import TallyError
from ledger.yaml_files import read_yaml
from tallystick import Inference, QuantityClass, TokenClass
from tallystick.vocabulary.base import Identifier, decimal_of

Row = Mapping[str, Any]
Column = Annotated[str, Field(min_length=1, max_length=256)]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"s": 10**6, "ms": 10**3, "us": 1}
_DATE_AND_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
)
MONEY_DIGITS, MAX_MONEY, EXACT_CONTEXT = Decimal(1).scaleb(-12), 10**25, Context(prec=40)


class _SheetModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Constant(_SheetModel):
    """The same value in every row."""

    value: str | bool | int


class Words(_SheetModel):
    """A column in which the listed words are replaced; other words stay."""

    column: Column
    words: dict[str, str]


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("is no zone of the IANA database, such as UTC or Europe/Berlin") from None
    return name


class Moment(_SheetModel):
    """The time of a row's call: ``unit`` is iso, or s, ms or us since 1970; or ``format`` is one of strptime. A time
    without a zone is in ``zone``."""

    column: Column
    unit: Literal["iso", "s", "ms", "us"] = "iso"
    format: str | None = None
    zone: Annotated[str, AfterValidator(_check_zone)] | None = None


class Sheet(_SheetModel):
    """The whole mapping."""

    format: Literal["csv", "jsonl", "parquet"]
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    source: Identifier
    id: list[Column] = []
    time: Moment
    fields: dict[str, Column | Words | Constant] = {}
    tags: dict[str, Column | Words | Constant] = {}
    tokens: dict[TokenClass, Column] = {}
    includes: dict[TokenClass, list[TokenClass]] = {}
    quantities: dict[QuantityClass, Column] = {}


class MappedRow(NamedTuple):
    """The event of a row without its id, and the id where columns give it."""

    event: dict[str, Any]
    id: str | None


class RowReader:
    """Reads rows by a mapping; ``set_fields`` are the fields that ``--set`` adds to every row."""

    def __init__(self, sheet: Sheet, set_fields: Mapping[str, Any]) -> None:
        self.sheet = sheet
        self._set_fields = set_fields
        self._numbers = {name for name in sheet.fields if _takes_numbers(name)}
        self._time: Callable[[Any], datetime] = _make_time_reader(sheet.time)

    def read(self, row: Row) -> MappedRow:
        """Read one row. Raises Rejection where a value does not fit its field."""
        sheet = self.sheet
        data: dict[str, Any] = {"adapter": "mapping", **self._set_fields}
        for name, rule in sheet.fields.items():
            if (value := _read_value(rule, row)) is not None:
                data[name] = self._field(name, rule, value)
        tags = dict(self._set_fields.get("tags", {}))
        tags |= {
            name: _to_text(value) for name, rule in sheet.tags.items() if (value := _read_value(rule, row)) is not None
        }
        tokens = {
            name: count for name, column in sheet.tokens.items() if (count := _read_count(row, column)) is not None
        }
        for total_class, parts in sheet.includes.items():
            if total_class in tokens:
                remainder = tokens[total_class] - sum(tokens.get(part, 0) for part in parts)
                if remainder < 0:
                    raise Rejection(
                        sheet.tokens[total_class], f"is less than {', '.join(parts)}, which it is to include", None
                    )
                tokens[total_class] = remainder
        quantities = {
            name: count for name, column in sheet.quantities.items() if (count := _read_count(row, column)) is not None
        }
        data |= {
            name: values for name, values in (("tags", tags), ("tokens", tokens), ("quantities", quantities)) if values
        }
        event = {"source": sheet.source, "type": INFERENCE_TYPE, "time": self._moment(row).isoformat(), "data": data}
        return MappedRow(event, self._identity(row))

    def _field(self, name: str, rule: object, value: Any) -> Any:
        if isinstance(rule, Constant):
            return value
        column = rule.column if isinstance(rule, Words) else str(rule)
        if name == "claimed_cost":
            return _parse_money(column, value)
        return _parse_count(column, value) if name in self._numbers else _to_text(value)

    def _moment(self, row: Row) -> datetime:
        column = self.sheet.time.column
        value = _get_column(row, column)
        if value is None:
            raise Rejection(column, "is empty: a row needs its time")
        try:
            return self._time(value)
        except (ValueError, OverflowError, InvalidOperation, TypeError):
            form = _describe_time(self.sheet.time)
            raise Rejection(column, f"is not a time in the form of the mapping ({form})") from None

    def _identity(self, row: Row) -> str | None:
        if not self.sheet.id:
            return None
        values = [_get_column(row, column) for column in self.sheet.id]
        for column, value in zip(self.sheet.id, values, strict=True):
            if value is None:
                raise Rejection(column, "is empty: it tells a row from the others")
        return "-".join(str(_to_text(value)) for value in values)


def parse_sheet(text: str, name: str, sets: Mapping[str, Any]) -> Sheet:
    """Parse and check a mapping. TallyError names the wrong part and the reason."""
    try:
        document = read_yaml(text)
        sheet = Sheet.model_validate(document)
    except yaml.YAMLError as error:
        raise TallyError(f"the mapping {name} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"] if part not in ("str", "Words", "Constant"))
        value = "" if first["type"] == "missing" else f", and is {str(first['input'])[:100]!r}"
        raise TallyError(
            f"the mapping {name}, {path or 'as a whole'}: {first['msg']}{value}; docs/import.md shows mappings"
        ) from None
    for field in sheet.fields:
        if field not in Inference.model_fields or field in ("tags", "tokens", "quantities", "adapter"):
            raise TallyError(
                f"the mapping {name}, fields.{field}: an inference has no such field; tags take any name, and tokens "
                "and quantities stand apart"
            )
    for total_class, parts in sheet.includes.items():
        if missing := [part for part in (total_class, *parts) if part not in sheet.tokens]:
            raise TallyError(f"the mapping {name}, includes.{total_class}: {missing[0]} is no class of its tokens")
    duplicate_tags = [f"tags.{tag}" for tag in sets.get("tags", {}) if tag in sheet.tags]
    if duplicates := sorted({*(sets.keys() & sheet.fields.keys()), *duplicate_tags}):
        raise TallyError(f"--set {duplicates[0]}: the mapping {name} says it; leave it out")
    return sheet


def _takes_numbers(name: str) -> bool:
    try:
        Inference.model_validate({name: 1})
    except ValidationError:
        return False
    return True


def _read_value(rule: object, row: Row) -> Any:
    if isinstance(rule, Constant):
        return rule.value
    if isinstance(rule, Words):
        value = _get_column(row, rule.column)
        return rule.words.get(str(_to_text(value)), value) if value is not None else None
    return _get_column(row, str(rule))


def _get_column(row: Row, column: str) -> Any:
    """Return the value of a column, or of a path with dots. None where it is absent, empty or NaN, which programs write
    for absent numbers."""
    if column in row:
        value = row[column]
    else:
        value = row
        for part in column.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    return None if value == "" or (isinstance(value, float) and math.isnan(value)) else value


def _to_text(value: Any) -> Any:
    """Return numbers and booleans as text, and any other value as it is, for the vocabulary to judge."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, (int, float)) else value


def _parse_number(column: str, value: Any) -> Decimal:
    try:
        return _parse_decimal(value)
    except ValueError:
        raise Rejection(column, "must be a number in plain digits, such as 100 or 0.25") from None


def _parse_decimal(value: Any) -> Decimal:
    """Read a number of the file, or a text that is one (:func:`tallystick.vocabulary.base.decimal_of`, with an
    exponent or without). ValueError where it is none."""
    if isinstance(value, str):
        return decimal_of(value, exponent=True)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError
    return number


def _parse_iso(text: str) -> datetime:
    """Read a date with its time of day, in any of the ways in which databases write it. ValueError where it is none."""
    if not _DATE_AND_TIME.fullmatch(text):
        raise ValueError
    return datetime.fromisoformat(text)


def _parse_count(column: str, value: Any) -> int:
    """Read a count. Programs without absent numbers write 12.0."""
    number = _parse_number(column, value)
    if number != number.to_integral_value() or not 0 <= number <= MAX_COUNT:
        raise Rejection(column, f"must be a whole number from 0 to {MAX_COUNT:,}")
    return int(number)


def _read_count(row: Row, column: str) -> int | None:
    value = _get_column(row, column)
    return None if value is None else _parse_count(column, value)


def _parse_money(column: str, value: Any) -> str:
    """Read a claimed amount, rounded to the twelfth decimal: programs that count in floats write more."""
    number = _parse_number(column, value)
    if not 0 <= number < MAX_MONEY:
        raise Rejection(column, f"must be an amount from 0 to {MAX_MONEY:,}")
    return format(number.quantize(MONEY_DIGITS, ROUND_HALF_EVEN, EXACT_CONTEXT), "f")


def _describe_time(time: Moment) -> str:
    return time.format or {"iso": "ISO 8601"}.get(time.unit, f"{time.unit} since 1970")


def _make_time_reader(time: Moment) -> Callable[[Any], datetime]:
    def apply_zone(moment: datetime) -> datetime:
        if moment.tzinfo is None:
            if time.zone is None:
                raise ValueError
            moment = moment.replace(tzinfo=ZoneInfo(time.zone))
        return moment.astimezone(UTC)

    def read(value: Any) -> datetime:
        if isinstance(value, datetime):
            return apply_zone(value)
        if time.format is not None:
            text = str(value)
            if any(letter.isdigit() and not letter.isascii() for letter in text):  # strptime takes them
                raise ValueError
            return apply_zone(datetime.strptime(text, time.format))
        if time.unit == "iso":
            return apply_zone(_parse_iso(str(value)))
        return EPOCH + timedelta(microseconds=int(_parse_decimal(value) * UNITS[time.unit]))

    return read
