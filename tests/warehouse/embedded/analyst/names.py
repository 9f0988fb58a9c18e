"""Statements made from the engine's own names: each in every place where a text can hold an expression or columns."""

import random
from collections.abc import Iterator
from itertools import product

TEXTS = (  # PATH stands for the path of a marked file
    "b UInt8, a String ALIAS hex(file('PATH'))",
    "b UInt8, a String DEFAULT file('PATH')",
    "b UInt8, a String MATERIALIZED file('PATH')",
    "b UInt8, a String EPHEMERAL file('PATH')",
    "SELECT file('PATH')",
    "file('PATH')",
    "PATH",
    "Tuple(a String, b AggregateFunction(any, String))",
)

PLACES = (  # NAME stands for a function, TEXT for one of these as a literal
    "SELECT NAME(TEXT)",
    "SELECT NAME(TEXT, 1)",
    "SELECT NAME(1, TEXT)",
    "SELECT NAME('CSV', TEXT)",
    "SELECT NAME(TEXT, '1')",
    "SELECT NAME('CSV', TEXT, '1')",
    "SELECT NAME('a', 'b', TEXT)",
    "SELECT NAME('{}', 'a', TEXT)",
    "SELECT NAME([TEXT])",
    "SELECT NAME((1, TEXT))",
    "SELECT NAME(TEXT)(1)",
    "SELECT NAME(materialize(TEXT))",
    "SELECT NAMEIf(TEXT, 1)",
    "SELECT NAMEState(TEXT)",
    "SELECT NAME(x -> TEXT, [1])",
    "SELECT arrayMap(NAME, [TEXT])",
    "SELECT arrayMap(x -> NAME(x), [TEXT])",
    "SELECT arrayFilter(NAME, [TEXT])",
    "SELECT * APPLY NAME FROM (SELECT TEXT AS a)",
    "SELECT * APPLY(NAME(TEXT)) FROM (SELECT TEXT AS a)",
    "SELECT CAST(1, NAME(TEXT))",
    "SELECT JSONExtract('{}', 'a', NAME(TEXT))",
    "WITH NAME AS f SELECT arrayMap(f, [TEXT])",
    "WITH NAME(TEXT) AS x SELECT x",
    "SELECT 1 WHERE NAME(TEXT) = '1'",
    "SELECT 1 ORDER BY NAME(TEXT)",
    "SELECT 1 LIMIT NAME(TEXT)",
    "SELECT a FROM system.one ARRAY JOIN NAME(TEXT) AS a",
    "SELECT 1 IN NAME(TEXT)",
    "SELECT 1 IN NAME(CSV, TEXT, '1')",
    "SELECT * FROM NAME(TEXT)",
    "SELECT * FROM NAME(TEXT, 1)",
    "SELECT * FROM NAME(CSV, TEXT, '1')",
    "SELECT * FROM NAME('PATH', 'LineAsString', TEXT)",
    "SELECT * FROM NAME(x = TEXT)",
    "SELECT * FROM numbers(NAME(TEXT))",
    "SELECT * FROM values(NAME(TEXT), 1)",
    "SELECT a FROM values(TEXT, NAME(1))",
    "DESCRIBE TABLE NAME(TEXT)",
    "DESCRIBE (SELECT NAME(TEXT))",
    "EXPLAIN SYNTAX SELECT NAME(TEXT)",
    "EXPLAIN QUERY TREE SELECT NAME(TEXT)",
    "SHOW TABLES WHERE name = NAME(TEXT)",
    "SELECT 1 FORMAT NAME",
    "SELECT * FROM system.NAME",
    "SELECT {NAME:String}",
    "SELECT CAST('x' AS NAME)",
    "SELECT 1 SETTINGS NAME = TEXT",
)  # fmt: skip


def statements(names: list[str], path: str) -> Iterator[str]:
    """Every name in every place with every text."""
    for name, place, text in product(names, PLACES, TEXTS):
        yield _fill(place, name, text, path)


def every_place(names: list[str], path: str) -> Iterator[str]:
    """Every name in every place, each name and each place with other texts in turn."""
    for (turn, name), (shift, place) in product(enumerate(names), enumerate(PLACES)):
        yield _fill(place, name, TEXTS[(turn + shift) % len(TEXTS)], path)


def sample(names: list[str], path: str, seed: int, count: int) -> list[str]:
    """As many of these statements, at random from a seed."""
    draw = random.Random(seed)
    return [_fill(draw.choice(PLACES), draw.choice(names), draw.choice(TEXTS), path) for _ in range(count)]


def _fill(place: str, name: str, text: str, path: str) -> str:
    literal = "'" + text.replace("'", "\\'") + "'"
    return place.replace("NAME", name).replace("TEXT", literal).replace("PATH", path)
