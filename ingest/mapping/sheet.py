"""A mapping: a small YAML file that assigns the columns of any file to fields of an event. Pure.

It has no expressions: a field is a column, a constant, or a column with its words translated. A test runs each example
of docs/import.md.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingest.mapping.columns import ABSENT_WORDS
from ingest.mapping.numbers import Numbers
from ingest.mapping.times import Moment
from ledger.errors import TallyError
from ledger.yaml_files import read_yaml
from tallystick import Inference, QuantityClass, TokenClass
from tallystick.vocabulary.base import Identifier

Column = Annotated[str, Field(min_length=1, max_length=256)]

_KEYS_OF_THEIR_OWN = {
    "tags": "`tags: {name: column}`",
    "tokens": "`tokens: {class: column}`",
    "quantities": "`quantities: {class: column}`",
    "calls": "`calls: column`",
    "reported_tokens": "`reported: {total: column}`",
}
"""Fields of an inference that keys beside ``fields`` fill."""
_STEPS_OF_TYPES = re.compile(r"str|Words|Constant|constrained-str|list\[.*|lit.*")
"""Steps of pydantic's that are no key of a mapping."""
_FILLED_FIELDS = ("adapter", "left_out", "provider_usage")


class _SheetModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Constant(_SheetModel):
    """The same value in every row."""

    value: str | bool | int


class Words(_SheetModel):
    """A column in which the listed words are replaced; other words stay."""

    column: Column
    words: dict[str, str | int]


Rule = Column | Words | Constant


class Sheet(_SheetModel):
    """The whole mapping."""

    format: Literal["csv", "jsonl", "parquet"]
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    source: Identifier
    id: list[Column] = []
    time: Moment
    fields: dict[str, Rule] = {}
    tags: dict[str, Rule] = {}
    tokens: dict[TokenClass, Column] = {}
    includes: dict[TokenClass, list[TokenClass]] = {}
    quantities: dict[QuantityClass, Column] = {}
    calls: Column | None = None
    reported: dict[Literal["input", "output", "total"], Column] = {}
    numbers: Numbers = Numbers()
    absent: list[str] = []
    optional: list[Column] = []

    @property
    def absent_words(self) -> frozenset[str]:
        """The texts that stand for an absent value."""
        return ABSENT_WORDS | frozenset(word.strip() for word in self.absent)


class MappedColumn(NamedTuple):
    """A column that a mapping names: the key that names it, and whether it holds a count that every event needs
    right."""

    key: str
    column: str
    is_count: bool


def list_columns(sheet: Sheet) -> Iterator[MappedColumn]:
    """Yield the columns of a mapping, each with its key."""
    for index, column in enumerate(sheet.id):
        yield MappedColumn("id" if len(sheet.id) == 1 else f"id.{index}", column, False)
    yield MappedColumn("time", sheet.time.column, False)
    for section, rules in (("fields", sheet.fields), ("tags", sheet.tags)):
        for name, rule in rules.items():
            if (rule_column := find_column(rule)) is not None:
                yield MappedColumn(f"{section}.{name}", rule_column, name == "revision" and section == "fields")
    for section, counts in (("tokens", sheet.tokens), ("quantities", sheet.quantities), ("reported", sheet.reported)):
        for name, column in counts.items():
            yield MappedColumn(f"{section}.{name}", column, True)
    if sheet.calls is not None:
        yield MappedColumn("calls", sheet.calls, True)


def find_column(rule: Rule) -> str | None:
    """Return the column of a rule; None of a constant."""
    if isinstance(rule, Constant):
        return None
    return rule.column if isinstance(rule, Words) else rule


def parse_sheet(text: str, name: str, sets: Mapping[str, Any]) -> Sheet:
    """Parse and check a mapping. TallyError names the wrong part and the reason."""
    try:
        sheet = Sheet.model_validate(read_yaml(text))
    except yaml.YAMLError as error:
        raise TallyError(f"the mapping {name} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise TallyError(f"the mapping {name}, {_explain(error)}; docs/import.md shows mappings") from None
    _check_fields(sheet, name)
    _check_columns(sheet, name)
    duplicate_tags = [f"tags.{tag}" for tag in sets.get("tags", {}) if tag in sheet.tags]
    if duplicates := sorted({*(sets.keys() & sheet.fields.keys()), *duplicate_tags}):
        raise TallyError(f"--set {duplicates[0]}: the mapping {name} says it; leave it out")
    return sheet


def describe_nearest(name: str, names: list[str]) -> str:
    """Return ``; the nearest is …`` for a misspelled name, and nothing where none is near."""
    by_folded = {candidate.casefold(): candidate for candidate in reversed(names)}
    nearest = [by_folded[folded] for folded in get_close_matches(name.casefold(), by_folded, 3)]
    return f"; the nearest is {' or '.join(map(repr, nearest))}" if nearest else ""


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in first["loc"] if not _STEPS_OF_TYPES.fullmatch(str(part)))
    value = "" if first["type"] == "missing" else f", and is {str(first['input'])[:100]!r}"
    nearest = ""
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        nearest = describe_nearest(str(first["loc"][0]), list(Sheet.model_fields))
    return f"{path or 'as a whole'}: {first['msg']}{value}{nearest}"


def _check_fields(sheet: Sheet, name: str) -> None:
    for field in sheet.fields:
        if field in _KEYS_OF_THEIR_OWN:
            form = _KEYS_OF_THEIR_OWN[field]
            raise TallyError(f"the mapping {name}, fields.{field}: it has a key of its own beside `fields`: {form}")
        if field not in Inference.model_fields or field in _FILLED_FIELDS:
            nearest = describe_nearest(field, [*Inference.model_fields])
            raise TallyError(
                f"the mapping {name}, fields.{field}: an inference has no such field{nearest}; tags take any name"
            )


def _check_columns(sheet: Sheet, name: str) -> None:
    for total_class, parts in sheet.includes.items():
        for part in (total_class, *parts):
            if part not in sheet.tokens:
                nearest = describe_nearest(part, list(sheet.tokens))
                raise TallyError(
                    f"the mapping {name}, includes.{total_class}: {part} is no class of its tokens{nearest}"
                )
        if total_class in parts or len(set(parts)) < len(parts):
            raise TallyError(f"the mapping {name}, includes.{total_class}: names a class twice; name each part once")
    columns = [mapped.column for mapped in list_columns(sheet)]
    for key, names in (("optional", sheet.optional), ("numbers.columns", sheet.numbers.columns)):
        for column in names:
            if column not in columns:
                nearest = describe_nearest(column, columns)
                raise TallyError(f"the mapping {name}, {key}: no other key names the column {column!r}{nearest}")
