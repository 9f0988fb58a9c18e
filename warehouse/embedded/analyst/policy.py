"""The policy for statements of analysts (pure).

The analyst's role (``access/users.xml``) lists what may be read, and ClickHouse refuses everything else, except what
needs no right: this module closes that gap. A name or syntax without a verdict is refused. A statement's tree may hold
the syntax of ``access/syntax.toml`` and the names that the other files of that folder allow: functions, aggregates
with their suffixes, table functions, formats, types, the system's tables. A name is judged wherever the engine may take
it for one of these: called, applied to columns, or given to a function that takes a function. Where a text can hold
more than data (a type, a list of columns), it must be written as text, and is read here too.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from warehouse.embedded.analyst.syntax_tree import Node, list_arguments
from warehouse.embedded.analyst.type_text import is_type_text
from warehouse.embedded.analyst.value_lengths import MAX_RANGE_ELEMENTS, find_long_search
from warehouse.embedded.analyst.verdicts import HIGHER_ORDER, Verdicts, read_syntax, read_verdicts
from warehouse.embedded.engine import SETTINGS, ParsedStatement, QueryFailed
from warehouse.embedded.statement import MAX_STATEMENT_BYTES
from warehouse.embedded.users import ALLOWANCES, ANALYST

ROLE = "analyst"

MAX_BODY_BYTES = ALLOWANCES[ANALYST].max_body_bytes
"""The greatest body of a request, before and after decompression."""

MAX_SELECTS = 1000
"""Selects of a statement, once each name of its WITH is expanded. Names that each stand for two others double them at
every step, and the engine expands and plans them all before any time limit applies."""

MAX_NAME_LENGTH = 200
"""Characters of a function's name. The longest that ClickHouse has are far below, with all their suffixes."""

MAX_BLOCK_ROWS = 1024
"""Rows of a block. The engine looks at the time between blocks, so what it does for each row of one counts so often."""

LIMITS = {
    "max_execution_time": "30",
    "max_block_size": str(MAX_BLOCK_ROWS),
    "max_joined_block_size_rows": str(MAX_BLOCK_ROWS),
    "function_range_max_elements_in_block": str(MAX_RANGE_ELEMENTS),
    "enable_lazy_columns_replication": "0",  # a copy of a long value counts against the memory
    "max_threads": "2",
    "max_memory_usage": str(128 << 20),
    "max_bytes_before_external_group_by": str(48 << 20),
    "max_bytes_before_external_sort": str(48 << 20),
    "max_temporary_data_on_disk_size_for_query": str(1 << 30),
    "allow_ddl": "0",
    "allow_introspection_functions": "0",
    "readonly": "1",
}

_FIXED_SETTINGS = SETTINGS | LIMITS


class _NameVerdicts(NamedTuple):
    """The verdicts on one kind of names, in lower case: ClickHouse finds many names in any case."""

    allowed: Mapping[str, str]
    refused: Mapping[str, str]


def _read_name_verdicts(kind: str) -> _NameVerdicts:
    verdicts: Verdicts = read_verdicts(kind)
    allowed, refused = (
        {name.lower(): reason for name, reason in names.items()} for names in (verdicts.allowed, verdicts.refused)
    )
    return _NameVerdicts(allowed, refused)


_FUNCTIONS, _AGGREGATES = _read_name_verdicts("functions"), _read_name_verdicts("aggregates")
_COMBINATORS = tuple(read_verdicts("combinators").allowed)
_TABLE_FUNCTIONS, _FORMATS, _TYPES = (_read_name_verdicts(kind) for kind in ("table_functions", "formats", "types"))
_SYSTEM_TABLES = frozenset(read_verdicts("system_tables").allowed)
_HIGHER_ORDER = frozenset(name for name, group in _FUNCTIONS.allowed.items() if group == HIGHER_ORDER)
_STATEMENTS, _PARTS = read_syntax()

FORMAT_SETTINGS = frozenset(read_verdicts("settings").allowed)
"""Settings that change nothing but how an answer is written. (``output_format_schema`` names a file to write.)"""

_TYPE_POSITION = {
    "cast": 1, "accuratecast": 1, "accuratecastornull": 1, "accuratecastordefault": 1,
    "jsonextract": -1, "jsonextractcaseinsensitive": -1,
    "jsonextractkeysandvalues": -1, "jsonextractkeysandvaluescaseinsensitive": -1,
}  # fmt: skip
"""The functions that are given a type as text, and where among their arguments."""

_EXPLAIN_KINDS = frozenset((
    "EXPLAIN", "EXPLAIN AST", "EXPLAIN SYNTAX", "EXPLAIN QUERY TREE", "EXPLAIN PIPELINE", "EXPLAIN ESTIMATE",
))  # fmt: skip

_EXPLAIN_OPTIONS = frozenset((
    "actions", "column_structure", "compact", "compact_repeated_processor_chains", "description", "distributed",
    "dump_ast", "dump_passes", "dump_tree", "graph", "header", "indexes", "input_headers", "json", "keep_logical_steps",
    "oneline", "optimize", "passes", "pretty", "projections", "query_tree_passes", "run_passes",
    "run_query_tree_passes", "single_record", "sorting",
))  # fmt: skip

_NODE_FIELDS = frozenset(("format_ast", "settings_ast", "settings"))
"""Fields of any statement that are judged as nodes of their own."""

_ONE_WORD = re.compile(r"[\w.@:+-]*+", re.ASCII)

_ALLOWED_STATEMENTS = (
    "analysts send SELECT, EXPLAIN of one, DESCRIBE, EXISTS, SHOW TABLES, SHOW COLUMNS and SHOW CREATE TABLE"
)

# Possessive throughout: a text that does not match is given up after one reading of it.
_GAP = rb"(?:\s|--[^\n]*+(?:\n|$)|/\*(?:[^*]|\*(?!/))*+\*/)"
_NAME = rb"(?:`\w++`|\"\w++\"|\w++)"
_DESCRIBE = re.compile(rb"%(g)s*+desc(?:ribe)?+\b%(g)s*+(?:table\b)?+" % {b"g": _GAP}, re.I)
_NAME_STATEMENT = re.compile(
    rb"\s*+(?:exists(?:\s++(?:table|view|database)(?=\s))?+\s++%(n)s(?:\.%(n)s)?+"
    rb"|show\s++create\s++(?:(?:table|view|database)\s++%(n)s(?:\.%(n)s)?+|%(n)s\.%(n)s))"
    rb"(?:\s++format\s++\w++)?+\s*+;?+\s*+" % {b"n": _NAME},
    re.I,
)


def check_size(sql: bytes) -> None:
    """Raise QueryFailed where a text is longer than a statement may be. Call it before anything parses the text."""
    if len(sql) > MAX_STATEMENT_BYTES:
        raise QueryFailed(
            f"Code: 62. DB::Exception: Max query size exceeded: a statement has {len(sql):,} bytes, and at most "
            f"{MAX_STATEMENT_BYTES:,}: send values as parameters, {{name:Type}}. (SYNTAX_ERROR)"
        )


def check_format(name: str) -> None:
    """Raise QueryFailed where analysts may not use this format."""
    if reason := _FORMATS.refused.get(name.lower()):
        raise _access_error(f"the format {name} {reason}")
    if name.lower() not in _FORMATS.allowed:
        raise QueryFailed(f"Code: 73. DB::Exception: Unknown format {name}. (UNKNOWN_FORMAT)")


def build_settings(request_settings: Mapping[str, str]) -> dict[str, str]:
    """Build the settings of a statement from those of the request. QueryFailed where one is not in ``FORMAT_SETTINGS``
    and differs from the fixed value."""
    remaining_settings = dict(request_settings)
    database = remaining_settings.pop("database", "")
    if database.lower() == "system":
        raise _access_error("the database system cannot be the current one: write system.tables")
    if remaining_settings.pop("readonly", "1") not in ("1", "2"):
        raise _readonly_error("readonly")
    for name, value in remaining_settings.items():
        if name not in FORMAT_SETTINGS and value != _FIXED_SETTINGS.get(name):
            raise _readonly_error(name)
    return {"database": database} | remaining_settings | LIMITS


def rewrite_for_parser(sql: bytes) -> bytes:
    """Return the text whose syntax tree is checked: the statement, or a select in place of one without a tree.

    ClickHouse gives no tree for statements that only return names and types. The table of a DESCRIBE becomes that of a
    select.
    """
    check_size(sql)
    if description := _DESCRIBE.match(sql):
        return b"SELECT * FROM " + sql[description.end() :]
    return b"SELECT 1" if _NAME_STATEMENT.fullmatch(sql) else sql


def check(statement: ParsedStatement) -> None:
    """Raise QueryFailed where a parsed statement does what an analyst may not."""
    if statement.statement_count > 1:
        raise QueryFailed("Code: 62. DB::Exception: Send one statement at a time. (SYNTAX_ERROR)")
    if not statement.is_read_only or statement.tree is None or statement.tree["type"] not in _STATEMENTS:
        raise _access_error(_ALLOWED_STATEMENTS)
    for parent, key, node in _walk_nodes(statement.tree):
        _check_node(parent, key, node)
    if count_selects(statement.tree) > MAX_SELECTS:
        raise _access_error(
            f"it has more than {MAX_SELECTS:,} selects, counting each name of its WITH as often as it is used: "
            "use fewer of them in one another"
        )
    try:
        long_search = find_long_search(statement.tree)
    except RecursionError as error:
        raise QueryFailed("Code: 306. DB::Exception: It is nested too deep. (TOO_DEEP_RECURSION)") from error
    if long_search:
        raise _access_error(long_search)


def count_selects(tree: Node) -> int:
    """Count the selects of a statement, those of each name of a WITH as often as it is named; beyond twice
    ``MAX_SELECTS`` no further. What several WITH call by one name counts together, and a name within itself (WITH
    RECURSIVE) once."""
    selects, references = {"": 0}, {"": list[str]()}  # of the statement, and of each name of a WITH
    pending: list[tuple[str, Any]] = [("", tree)]
    while pending:
        owner, value = pending.pop()
        if isinstance(value, list):
            pending += [(owner, item) for item in value]
        elif isinstance(value, dict):
            kind = value.get("type")
            if kind == "WithElement":
                owner = "=" + value["name"]
                selects.setdefault(owner, 0)
                references.setdefault(owner, [])
            elif kind == "SelectQuery":
                selects[owner] += 1
            elif kind in ("TableIdentifier", "Identifier"):
                references[owner].append("=" + value["name"])
            pending += [(owner, child) for child in value.values()]
    return _count_expanded("", selects, references)


def _count_expanded(root: str, selects: Mapping[str, int], references: Mapping[str, list[str]]) -> int:
    totals: dict[str, int] = {}
    pending, in_progress = [root], set[str]()
    while pending:
        owner = pending[-1]
        missing = set(references[owner]) & references.keys() - totals.keys() - in_progress - {owner}
        if missing and owner not in in_progress:
            in_progress.add(owner)
            pending += missing
        else:
            total = selects[owner] + sum(totals.get(name, 0) for name in references[owner])
            totals[owner] = min(total, 2 * MAX_SELECTS)
            in_progress.discard(owner)
            pending.pop()
    return totals[root]


def _check_node(parent: str, key: str, node: Node) -> None:
    kind = node["type"]
    if kind == "SetQuery":
        _check_settings(node, is_options=(parent, key) == ("ExplainQuery", "settings"))
        return
    _check_shape(kind, node)
    if kind == "Function":
        if key == "table_function":
            _check_table_function(node)
        else:
            _check_function(node)
    elif kind == "ColumnsApplyTransformer" and "func_name" in node:
        _check_function_reference(node["func_name"], "APPLY")
    elif kind == "QueryParameter":
        _check_parameter(node)
    elif kind == "ExplainQuery" and node["kind"] not in _EXPLAIN_KINDS:
        raise _access_error(f"{node['kind']} is none of {', '.join(sorted(_EXPLAIN_KINDS))}")
    elif key == "format_ast":
        check_format(str(node["name"]))
    elif kind in ("Identifier", "TableIdentifier"):
        _check_table(node.get("name_parts", []))


def _check_settings(node: Node, is_options: bool) -> None:
    """The options of an EXPLAIN are settings in the tree; other settings do not stand in a statement."""
    names = {str(change["name"]) for change in node["changes"]}
    if not is_options or node.keys() - {"type", "changes"} or names - _EXPLAIN_OPTIONS:
        raise _readonly_error(", ".join(sorted(names)))


def _check_shape(kind: str, node: Node) -> None:
    fields = _STATEMENTS.get(kind) or _PARTS.get(kind)
    if fields is None:
        raise _access_error(
            _ALLOWED_STATEMENTS if kind.endswith("Query") else f"{kind} is no syntax that analysts may use"
        )
    if "out_file" in node:
        raise _access_error("INTO OUTFILE writes a file here: name one where you take the answer")
    for field, value in node.items():
        is_node_field = field == "type" or (field in _NODE_FIELDS and isinstance(value, dict))
        if field not in fields and not is_node_field and value is not False:
            if kind == "Identifier":
                raise _access_error("a name cannot be a parameter ({x:Identifier}): write it into the statement")
            raise _access_error(f"{field} of {kind} is no syntax that analysts may use: {_ALLOWED_STATEMENTS}")


def _check_function(node: Node) -> None:
    name, arguments = str(node["name"]), list_arguments(node)
    _check_function_name(name)
    if name.lower() in _HIGHER_ORDER:
        _check_function_arguments(name, arguments)
    position = _TYPE_POSITION.get(name.lower())
    if position is not None and len(arguments) > 1:
        text = _read_text(arguments[position])
        if text is None or not is_type_text(text, _TYPES.allowed):
            raise _access_error(
                f"{name} takes a type written as text, one of those of ClickHouse but {', '.join(_TYPES.refused)}"
            )


def _check_function_arguments(name: str, arguments: list[Node]) -> None:
    """A function can be named without a call: ``arrayMap(file, […])``. Columns stand there too."""
    for position, argument in enumerate(arguments):
        if argument["type"] == "Identifier" and "name_parts" not in argument:
            function_name = str(argument["name"])
            is_function = position == 0 and len(arguments) > 1
            if (
                is_function
                or function_name.lower() in _FUNCTIONS.refused
                or function_name.lower() in _AGGREGATES.refused
            ):
                _check_function_reference(
                    function_name, f"{name}; a column of that name is written with its table's: t.{function_name}"
                )


def _check_function_reference(name: str, context: str) -> None:
    """Raise QueryFailed where analysts may not name this function without calling it."""
    if name.lower() in _TYPE_POSITION:
        raise _access_error(f"{name} takes a type written as text: call it (in {context})")
    _check_function_name(name, f" (in {context})")


def _check_function_name(name: str, context: str = "") -> None:
    """Raise QueryFailed where analysts may not call this function."""
    for verdicts in (_FUNCTIONS, _AGGREGATES):
        if reason := verdicts.refused.get(name.lower()):
            raise _access_error(f"the function {name} {reason}{context}")
    if name.lower() in _FUNCTIONS.allowed or _is_aggregate(name):
        return
    raise QueryFailed(
        f"Code: 46. DB::Exception: Function with name `{name[:MAX_NAME_LENGTH]}` does not exist, or is not for analysts"
        f"{context}. (UNKNOWN_FUNCTION)"
    )


def _is_aggregate(name: str) -> bool:
    """Say whether this is an allowed aggregate function, with any of the allowed suffixes."""
    if len(name) > MAX_NAME_LENGTH:
        return False
    return name.lower() in _AGGREGATES.allowed or any(
        _is_aggregate(name.removesuffix(suffix)) for suffix in _COMBINATORS if name.endswith(suffix)
    )


def _check_table_function(node: Node) -> None:
    name, arguments = str(node["name"]), list_arguments(node)
    if name.lower() not in _TABLE_FUNCTIONS.allowed:
        reason = _TABLE_FUNCTIONS.refused.get(name.lower(), "is not known")
        allowed = ", ".join(sorted(_TABLE_FUNCTIONS.allowed))
        raise _access_error(f"the table function {name} {reason}; analysts have {allowed}")
    if name.lower() == "values" and arguments and not _is_plain(arguments[0]):
        raise _access_error("values takes names and types as text without expressions, or rows alone, each as (…)")


def _is_plain(first: Node) -> bool:
    """Say whether the first argument of ``values`` is a row, or a text of nothing but names and types. A text of one
    word is a row: a column has a name and a type."""
    if first["type"] == "Function":
        return bool(first["name"] == "tuple")
    if first["type"] != "Literal":
        return False
    text = _read_text(first)
    return text is None or _ONE_WORD.fullmatch(text) is not None or is_type_text(text, _TYPES.allowed)


def _check_parameter(node: Node) -> None:
    kind = str(node["param_type"])
    if kind == "Identifier":
        raise _access_error(
            f"the name {{{node['name']}:Identifier}} cannot be a parameter: write it into the statement"
        )
    if not is_type_text(kind, _TYPES.allowed):
        raise _access_error(f"the parameter {node['name']} has the type {kind}, which is none for analysts")


def _check_table(parts: list[str]) -> None:
    if len(parts) > 1 and parts[0] == "system" and parts[1] not in _SYSTEM_TABLES:
        allowed = ", ".join(sorted(_SYSTEM_TABLES))
        raise _access_error(f"{'.'.join(parts[:2])} is none of the system's tables for analysts: {allowed}")


def _read_text(node: Node) -> str | None:
    """Return the text of a string literal; None for other nodes."""
    value = node.get("value", {}) if node["type"] == "Literal" else {}
    return str(value["value"]) if value.get("field_type") == "String" else None


def _walk_nodes(tree: Any) -> Iterator[tuple[str, str, Node]]:
    """Yield every node with its parent's type and its key there. Literals and settings have no nodes below them."""
    pending: list[tuple[str, str, Any]] = [("", "", tree)]
    while pending:
        parent, key, value = pending.pop()
        if isinstance(value, list):
            pending += [(parent, key, item) for item in value]
        elif isinstance(value, dict):
            if "type" not in value:
                raise _access_error(f"{key} of {parent} is no syntax that analysts may use")
            yield parent, key, value
            if value["type"] not in ("Literal", "SetQuery"):
                pending += [(value["type"], name, child) for name, child in value.items()]


def _access_error(reason: str) -> QueryFailed:
    return QueryFailed(f"Code: 497. DB::Exception: analyst: Not enough privileges: {reason}. (ACCESS_DENIED)")


def _readonly_error(name: str) -> QueryFailed:
    message = f"Cannot modify '{name}' setting in readonly mode: an analyst's limits are fixed"
    return QueryFailed(f"Code: 164. DB::Exception: {message}. (READONLY)")
