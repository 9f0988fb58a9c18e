"""Write the dimensions of ``ledger/dimensions.py`` into the SQL and YAML files that spell them.

``python tools/dimensions.py``: rewrite every block between ``begin NAME`` and ``end NAME``, and print the files that
changed. ``--check`` prints them, changes none, and exits 1 if there are any.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ledger.dimensions import ATTRIBUTES, BUDGET_DIMENSIONS, DIMENSIONS, Dimension, Field

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("warehouse/schema", "dbt/models", "dbt/macros")
BLOCK = re.compile(
    r"(?P<begin>^(?P<indent> *)(?:--|#|\{#|<!--) begin (?P<name>[a-z ]+?)(?: [(#][^\n]*)?\n)(?P<body>.*?)"
    r"(?P<end>^ *(?:--|#|\{#|<!--) end (?P=name)\b)",
    re.MULTILINE | re.DOTALL,
)
RESERVED = frozenset(("grant", "key"))
"""Columns that are quoted in SQL: the linter, or ClickHouse's grammar, means something else by them."""

CALL_FIELDS: tuple[Field, ...] = DIMENSIONS + ATTRIBUTES
ENTRY_DIMENSIONS = tuple(dimension for dimension in DIMENSIONS if dimension.marts != "none")
USAGE_DIMENSIONS = tuple(dimension for dimension in DIMENSIONS if dimension.marts == "all")


def rewrite_blocks(text: str) -> str:
    """Return a file's text with each block written anew. ValueError names a block that does not exist."""

    def write(match: re.Match[str]) -> str:
        if match["name"] not in BLOCKS:
            raise ValueError(f"no such block: {match['name']} (of {', '.join(BLOCKS)})")
        lines = "".join(f"{match['indent']}{line}\n" for line in BLOCKS[match["name"]]())
        return f"{match['begin']}{lines}{match['end']}"

    return BLOCK.sub(write, text)


def find_outdated(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Yield each file with blocks that differ from the list, and the text that it should have."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".sql", ".yml", ".md"):
                text = path.read_text()
                if (rewritten := rewrite_blocks(text)) != text:
                    yield path, rewritten


def _quote(name: str) -> str:
    return f"`{name}`" if name in RESERVED else name


def _list_names(fields: Iterable[Field]) -> Iterator[str]:
    return (f"{_quote(field.name)}," for field in fields)


def _list_columns(fields: Iterable[Field]) -> Iterator[str]:
    return (f"{_quote(field.name)} {field.type}," for field in fields)


def _list_stored_columns(fields: Iterable[Field]) -> Iterator[str]:
    """Yield columns with their codec: a low-cardinality text is small already."""
    for field in fields:
        codec = "" if field.type.startswith("LowCardinality") else " CODEC(ZSTD(1))"
        yield f"{_quote(field.name)} {field.type}{codec},"


def _describe(name: str, text: str, data_type: str = "") -> Iterator[str]:
    yield f"- name: {name}"
    yield f'  description: "{text}"'
    if data_type:
        yield f"  data_type: {data_type}"


def _describe_source(fields: Iterable[Field]) -> Iterator[str]:
    for field in fields:
        yield from _describe(field.name, field.text)


def _describe_models() -> Iterator[str]:
    for dimension in DIMENSIONS:
        yield from _describe(dimension.column_name, dimension.text)


def _describe_sums() -> Iterator[str]:
    for dimension in USAGE_DIMENSIONS:
        yield from _describe(dimension.mart_field.name, dimension.mart_field.text)


def _describe_mart(dimensions: Iterable[Dimension]) -> Iterator[str]:
    for dimension in dimensions:
        field = dimension.mart_field
        yield from _describe(field.name, field.text, field.type)


def _document_fields() -> Iterator[str]:
    """Yield a description for dbt's ``doc()`` of each field under each of its names in the models."""
    texts = {field.name: field.text for field in ATTRIBUTES}
    for dimension in DIMENSIONS:
        texts |= {dimension.column_name: dimension.text, dimension.mart_field.name: dimension.mart_field.text}
    for name, text in texts.items():
        yield f"{{% docs {name} %}}{text}{{% enddocs %}}"


def _set_columns(items: Iterable[str]) -> Iterator[str]:
    """Yield a statement of Jinja that sets ``columns``."""
    yield "{% set columns = ["
    for item in items:
        yield f"    {item},"
    yield "] %}"


def _set_column_names(dimensions: Iterable[Dimension]) -> Iterator[str]:
    return _set_columns(f"'{dimension.mart_field.name}'" for dimension in dimensions)


def _set_staged_columns() -> Iterator[str]:
    """Pair each column of a source with its name in the models."""
    return _set_columns(f"('{_quote(dimension.name)}', '{dimension.column_name}')" for dimension in DIMENSIONS)


def _set_budget_columns() -> Iterator[str]:
    """Pair each dimension that a budget can limit with the column of the sink's tables that holds its values."""
    return _set_columns(f"('{name}', '{_quote(name)}')" for name in BUDGET_DIMENSIONS)


BLOCKS: dict[str, Callable[[], Iterator[str]]] = {
    "call columns": lambda: _list_columns(CALL_FIELDS),
    "stored call columns": lambda: _list_stored_columns(CALL_FIELDS),
    "call names": lambda: _list_names(CALL_FIELDS),
    "stored dimensions": lambda: _list_stored_columns(DIMENSIONS),
    "dimension names": lambda: _list_names(DIMENSIONS),
    "source call fields": lambda: _describe_source(CALL_FIELDS),
    "source dimensions": lambda: _describe_source(DIMENSIONS),
    "model dimensions": _describe_models,
    "entry dimensions": lambda: _describe_mart(ENTRY_DIMENSIONS),
    "summed dimensions": _describe_sums,
    "usage dimensions": lambda: _describe_mart(USAGE_DIMENSIONS),
    "field docs": _document_fields,
    "entry columns": lambda: _set_column_names(ENTRY_DIMENSIONS),
    "usage columns": lambda: _set_column_names(USAGE_DIMENSIONS),
    "staged columns": _set_staged_columns,
    "budget columns": _set_budget_columns,
}
"""The lines of each block, by its name."""


def main() -> int:
    """Rewrite the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a file is not up to date")
    is_check = parser.parse_args().check
    outdated = list(find_outdated())
    for path, text in outdated:
        print(path.relative_to(ROOT))
        if not is_check:
            path.write_text(text)
    return 1 if is_check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
