"""What decides on an analyst's statement, apart from the engine (pure)."""

from typing import Any

import pytest

from warehouse.embedded.analyst import policy
from warehouse.embedded.analyst.type_text import MAX_DEPTH, is_type_text
from warehouse.embedded.engine import ParsedStatement, QueryFailed
from warehouse.embedded.statement import MAX_STATEMENT_BYTES

TYPES = frozenset(
    ("uint8", "string", "array", "tuple", "nullable", "enum8", "decimal", "double precision", "datetime64")
)


@pytest.mark.parametrize(
    "text",
    [
        "UInt8", " uint8 ", "a UInt8, b String", "Array(Nullable(String))", "Tuple(a UInt8, `b c` Array(String))",
        "Enum8('a' = 1, 'it\\'s (' = -2, 'x''y' = 3)", "Decimal(38, 12)", "DOUBLE PRECISION", "a Double Precision",
        "DateTime64(3, 'Europe/Berlin')", '"a" String', "alias String", "",
    ],
)  # fmt: skip
def test_names_and_types_are_type_text(text: str) -> None:
    assert is_type_text(text, TYPES)


@pytest.mark.parametrize(
    "text",
    [
        "a String ALIAS file('x')", "a String DEFAULT 1", "a DEFAULT b", "a UInt8 ALIAS a IN system.processes",
        "file('x')", "AggregateFunction(any, String)", "Array(AggregateFunction(any))", "a UInt8 CODEC(ZSTD)",
        "a UInt8 TTL b", "a String -- ", "a/**/String",
        "Enum8('a' = 1 -- '\n), b String ALIAS file('x') -- '", "(UInt8)",
        "Array(UInt8", "UInt8)", "UInt8) ALIAS file('x'", "a UInt8 = 1", "Tuple(a UInt8) b", "'a' String", "a.b UInt8",
        "SELECT 1", "a String(file('x'))", "a$ UInt8", "a UInt8;",
        "Array(" * (MAX_DEPTH + 1) + "UInt8" + ")" * (MAX_DEPTH + 1),
    ],
)  # fmt: skip
def test_whatever_else_is_not(text: str) -> None:
    assert not is_type_text(text, TYPES)


GAPS = ["x" * 0, " ", "\n", "/* a */ ", "/***/", "-- a\n", "/* * / */\n", "/*", "'", "''", "`", '"', "(", "desc ", "a "]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize(
    "head", ["", "EXISTS a", "SHOW CREATE a.b", "EXISTS", "DESCRIBE ", "SHOW CREATE TABLE a FORMAT b"]
)
def test_a_long_text_is_read_once(head: str, gap: str) -> None:
    """A megabyte that no pattern matches to its end. One that goes back over it would take hours."""
    text = (head + gap * ((1 << 20) // max(1, len(gap))) + "!").encode()
    policy._DESCRIBE.match(text)
    policy._NAME_STATEMENT.fullmatch(text)
    is_type_text(text.decode(), TYPES)


@pytest.mark.parametrize("read", [policy.check_size, policy.rewrite_for_parser])
def test_a_text_that_is_too_long_is_refused_before_it_is_read(read: Any) -> None:
    read(b"S" * MAX_STATEMENT_BYTES)
    with pytest.raises(
        QueryFailed, match="a statement has 262,145 bytes, and at most 262,144: send values as parameters"
    ):
        read(b"S" * (MAX_STATEMENT_BYTES + 1))


@pytest.mark.parametrize(
    "sql",
    ["EXISTS t", "exists  table  `t` ;", "SHOW CREATE TABLE d.t", "show create d.t FORMAT TSV", "EXISTS DATABASE d"],
)
def test_what_tells_of_a_name_needs_no_tree(sql: str) -> None:
    assert policy.rewrite_for_parser(sql.encode()) == b"SELECT 1"


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW CREATE USERS",
        "SHOW CREATE USER a",
        "EXISTS t INTO OUTFILE 'x'",
        "EXISTS t SETTINGS a = 1",
        "EXISTS t; SELECT 1",
    ],
)
def test_what_tells_of_more_than_a_name_is_read_as_it_is(sql: str) -> None:
    assert policy.rewrite_for_parser(sql.encode()) == sql.encode()


def select(**fields: Any) -> ParsedStatement:
    columns = {
        "type": "ExpressionList",
        "children": [{"type": "Literal", "value": {"field_type": "UInt64", "value": 1}}],
    }
    return ParsedStatement(True, 1, {"type": "SelectQuery", "select": columns} | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"hint": True},  # a field that no syntax of this version has
        {"where": {"type": "Telepathy"}},  # and a node
        {"where": {"name": "file"}},  # and one without a type
        {"where": {"type": "Function", "name": "readMind"}},
        {"where": {"type": "Function", "name": "sum" + "If" * 100}},
        {"where": {"type": "Function", "name": "sumResample"}},
    ],
)
def test_what_a_newer_engine_may_add_is_refused(fields: dict[str, Any]) -> None:
    policy.check(select())
    policy.check(select(hint=False))
    with pytest.raises(QueryFailed, match="analysts") as failed:
        policy.check(select(**fields))
    assert failed.value.code in (46, 497)


def with_parts(**parts: list[str]) -> dict[str, Any]:
    """A tree whose WITH gives these names, each reading others; ``main`` is the statement's own."""

    def select(names: list[str]) -> dict[str, Any]:
        return {"type": "SelectQuery", "tables": [{"type": "TableIdentifier", "name": name} for name in names]}

    elements = [{"type": "WithElement", "name": name, "subquery": select(names)} for name, names in parts.items()]
    return select(parts["main"]) | {"with": elements}


def test_selects_are_counted_as_often_as_they_are_named() -> None:
    assert policy.count_selects(with_parts(main=["t"])) == 1
    assert policy.count_selects(with_parts(main=["a", "a"], a=["b", "b"], b=["t"])) == 7
    assert policy.count_selects(with_parts(main=["a"], a=["a", "t"])) == 2  # WITH RECURSIVE
    assert policy.count_selects(with_parts(main=["a"], a=["b"], b=["a"])) <= 4
    chain = {f"c{step + 1}": [f"c{step}"] * 2 for step in range(2000)}
    assert policy.count_selects(with_parts(main=["c2000"], **chain)) > policy.MAX_SELECTS
    wide = {f"c{step}": ["t"] for step in range(500)}
    assert policy.count_selects(with_parts(main=list(wide), **wide)) == 501
