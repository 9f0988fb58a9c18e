"""The catalogue of the marts: grain, columns and units, as ClickHouse's comments have them (dbt writes them there)."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # importing the client takes half a second
    from clickhouse_connect.driver.client import Client

_GRAIN = re.compile(r"One row (per .+?)[.:;](?: |$)")
_UNIT = re.compile(r" ?Unit: (.+)\.$")
COLUMNS = """
select
    tables.name as mart, tables.comment as description,
    columns.name as column, columns.type as type, columns.comment as comment
from system.columns as columns
inner join system.tables as tables on columns.database = tables.database and columns.table = tables.name
where columns.database = 'analytics' and match(columns.table, '^(fct|dim)_')
order by tables.name, columns.position
"""
"""The rows that ``parse_marts`` reads."""


class Column(NamedTuple):
    """A column of a mart. ``unit`` is empty for a text."""

    name: str
    type: str
    unit: str
    description: str


class Mart(NamedTuple):
    """A mart; ``grain`` is the thing that a row stands for."""

    name: str
    grain: str
    description: str
    columns: tuple[Column, ...]


def read_marts(client: "Client") -> list[Mart]:
    """Read the marts that the warehouse has, by name."""
    return parse_marts(client.query(COLUMNS).result_rows)


def parse_marts(rows: Iterable[Sequence[str]]) -> list[Mart]:
    """Parse rows of a mart's name and comment, and a column's name, type and comment; columns of a mart follow each
    other."""
    marts: dict[str, Mart] = {}
    for mart_name, mart_comment, name, data_type, comment in rows:
        grain = _GRAIN.search(mart_comment)
        mart = marts.setdefault(mart_name, Mart(mart_name, grain[1] if grain else "", mart_comment, ()))
        unit = _UNIT.search(comment)
        column = Column(name, data_type, unit[1] if unit else "", _UNIT.sub("", comment))
        marts[mart_name] = mart._replace(columns=(*mart.columns, column))
    return list(marts.values())


def as_facts(mart: Mart) -> dict[str, Any]:
    """Return a mart as an object of JSON."""
    return mart._asdict() | {"columns": [column._asdict() for column in mart.columns]}
