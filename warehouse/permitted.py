"""What an analyst may ask (pure).

The analyst's role (``access/users.xml``) says what may be read, and ClickHouse refuses whatever else, but for what
needs no right there: this module closes that. What is not known to be harmless is refused: the tree of a statement
may hold nothing but selects, these table functions and these system tables. Of ordinary functions there are too many;
those that reach out of the engine are named.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from warehouse.engine import SETTINGS, QueryFailed, Read

ROLE = "analyst"

BODY = 1 << 20
"""Bytes of a request, also once unpacked. A statement has at most 256 KiB (ClickHouse's ``max_query_size``)."""

LIMITS = {
    "max_execution_time": "30",
    "max_threads": "2",
    "max_memory_usage": str(128 << 20),
    "max_bytes_before_external_group_by": str(48 << 20),
    "max_bytes_before_external_sort": str(48 << 20),
    "max_temporary_data_on_disk_size_for_query": str(1 << 30),
    "allow_ddl": "0",
    "allow_introspection_functions": "0",
    "readonly": "1",
}

_FIXED = SETTINGS | LIMITS

FORMATTING = frozenset((
    "date_time_output_format", "format_csv_delimiter", "session_timezone",
    "output_format_arrow_compression_method", "output_format_arrow_string_as_string",
    "output_format_binary_encode_types_in_binary_format", "output_format_binary_write_json_as_string",
    "output_format_csv_crlf_end_of_line", "output_format_decimal_trailing_zeros",
    "output_format_json_array_of_rows", "output_format_json_named_tuples_as_objects",
    "output_format_json_quote_64bit_floats", "output_format_json_quote_64bit_integers",
    "output_format_json_quote_decimals", "output_format_json_quote_denormals",
    "output_format_native_encode_types_in_binary_format", "output_format_native_write_json_as_string",
    "output_format_parquet_compression_method", "output_format_parquet_string_as_string",
    "output_format_pretty_max_rows", "output_format_tsv_crlf_end_of_line",
))  # fmt: skip
"""Settings that change nothing but how an answer is written. (``output_format_schema`` names a file to write.)"""

STATEMENTS = frozenset((
    "SelectWithUnionQuery", "SelectIntersectExceptQuery", "SelectQuery", "ExplainQuery",
    "ShowTablesQuery", "ShowColumnsQuery", "ShowIndexesQuery",
))  # fmt: skip

TABLE_FUNCTIONS = frozenset(("numbers", "generate_series", "generateseries", "sqlstandardvalues", "values"))

_COMPUTED = re.compile("alias|default|materialized|ephemeral", re.I)
"""What the names and types that ``values`` is given may not say: ``a String ALIAS file('…')`` reads a file."""

SYSTEM = frozenset((
    "columns", "data_type_families", "databases", "dictionaries", "formats", "functions", "keywords", "numbers", "one",
    "settings", "table_engines", "table_functions", "tables", "time_zones",
))  # fmt: skip
"""What clients read as they connect, and what is known of tables. Others tell what other people ask."""

_REACHING_OUT = re.compile(
    "file|hasColumnInTable|joinGet(?:OrNull)?|catboostEvaluate|reverseDNSQuery|"
    "ai(?:Classify|Embed|Extract|Filter|Generate|Redact|Similarity|Translate)",
    re.I,
)
"""Functions that read files, open addresses, or take a table's name as text. One can also be named, without a call:
``arrayMap(file, […])``."""

_MORE = "analysts send SELECT, EXPLAIN of one, DESCRIBE, EXISTS, SHOW TABLES, SHOW COLUMNS and SHOW CREATE"

_GAP = rb"(?:\s|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*+\*/)"
_NAME = rb"(?:`\w+`|\"\w+\"|\w+)"
_DESCRIBE = re.compile(rb"%(g)s*+desc(?:ribe)?\b%(g)s*+(?:table\b)?" % {b"g": _GAP}, re.I)
_OF_A_NAME = re.compile(
    rb"\s*(?:exists|show\s+create)(?:\s+(?:table|view|database))?\s+%(n)s(?:\.%(n)s)?(?:\s+format\s+\w+)?\s*;?\s*"
    % {b"n": _NAME},
    re.I,
)


def settings(asked: Mapping[str, str]) -> dict[str, str]:
    """The settings to run with, of those that the request has. QueryFailed where one is none of ``FORMATTING`` and not
    as it is anyway."""
    given = dict(asked)
    database = given.pop("database", "")
    if database.lower() == "system":
        raise _denied("the database system cannot be the current one: write system.tables")
    if given.pop("readonly", "1") not in ("1", "2"):
        raise _unchanged("readonly")
    for name, value in given.items():
        if name not in FORMATTING and value != _FIXED.get(name):
            raise _unchanged(name)
    return {"database": database} | given | LIMITS


def to_read(sql: bytes) -> bytes:
    """The text whose tree says what a statement does: itself, but ClickHouse gives none for some that only tell names
    and types. What is described stands where a select would read it."""
    if describe := _DESCRIBE.match(sql):
        return b"SELECT * FROM " + sql[describe.end() :]
    return b"SELECT 1" if _OF_A_NAME.fullmatch(sql) else sql


def check(read: Read) -> None:
    """QueryFailed where a statement, as the engine reads it, does what an analyst may not."""
    if read.statements > 1:
        raise QueryFailed("Code: 62. DB::Exception: Send one statement at a time. (SYNTAX_ERROR)")
    if not read.only_reads or read.tree is None or read.tree["type"] not in STATEMENTS:
        raise _denied(_MORE)
    for parent, key, node in _nodes(read.tree):
        _check(parent, key, node)


def _check(parent: str, key: str, node: Mapping[str, Any]) -> None:
    kind, name = node["type"], str(node.get("name", ""))
    if kind == "SetQuery":
        if (parent, key) != ("ExplainQuery", "settings"):  # there they are EXPLAIN's own options
            raise _unchanged(", ".join(str(one["name"]) for one in node["changes"]))
    elif kind.endswith("Query") and kind not in STATEMENTS | {"TablesInSelectQuery"}:
        raise _denied(_MORE)
    if "out_file" in node:
        raise _denied("INTO OUTFILE writes a file here: name one where you take the answer")
    if key == "table_function" and name.lower() not in TABLE_FUNCTIONS:
        raise _denied(f"the table function {name} is none of {', '.join(sorted(TABLE_FUNCTIONS))}")
    if key == "table_function" and name.lower() == "values" and not _plain(node["arguments"]):
        raise _denied("values takes names and types as text without expressions, or rows alone")
    for one in (name, str(node.get("func_name", ""))):
        if kind in ("Function", "Identifier", "ColumnsApplyTransformer") and _REACHING_OUT.fullmatch(one):
            raise _denied(
                f"{one} is a function that reaches out of the warehouse (a column cannot be called so either)"
            )
    if kind == "QueryParameter" and node.get("param_type") == "Identifier":
        raise _denied(f"the name {{{name}:Identifier}} cannot be a parameter: write it into the statement")
    parts: list[str] = node.get("name_parts", [])
    if len(parts) > 1 and parts[0] == "system" and parts[1] not in SYSTEM:
        raise _denied(f"{'.'.join(parts[:2])} is none of the system's tables for analysts: {', '.join(sorted(SYSTEM))}")


def _plain(arguments: Mapping[str, Any]) -> bool:
    """Whether the first argument of ``values`` is a row, or a text of nothing but names and types."""
    for first in arguments.get("children", [])[:1]:
        value = first.get("value", {})
        text = str(value.get("value")) if value.get("field_type") == "String" else ""
        return first["type"] == "Literal" and not _COMPUTED.search(text)
    return True  # which the engine refuses


def _nodes(tree: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every node with its parent's type, and the key under which it stands there."""
    waiting: list[tuple[str, str, Any]] = [("", "", tree)]
    while waiting:
        parent, key, found = waiting.pop()
        if isinstance(found, list):
            waiting += [(parent, key, one) for one in found]
        elif isinstance(found, dict):
            if "type" in found:
                yield parent, key, found
                parent = found["type"]
            waiting += [(parent, name, value) for name, value in found.items()]


def _denied(why: str) -> QueryFailed:
    return QueryFailed(f"Code: 497. DB::Exception: analyst: Not enough privileges: {why}. (ACCESS_DENIED)")


def _unchanged(name: str) -> QueryFailed:
    said = f"Cannot modify '{name}' setting in readonly mode: an analyst's limits are fixed"
    return QueryFailed(f"Code: 164. DB::Exception: {said}. (READONLY)")
