"""The rollup of call steps: each call with its place in its call tree, built tree by tree.

It absorbs what ``rollup_calls`` holds. A build takes the calls that are new or amended and the trees of all that they
name or are named by, places the calls anew (``call_links.py``), and stores these trees in one part. The position
absorbed stands in the same rows. The newest build of a row is in force, so a build that is repeated, interrupted or
late changes nothing. dbt writes the statements (``dbt/macros/call_steps.sql``).
"""

import re
from collections.abc import Iterator, Mapping
from math import ceil
from typing import NamedTuple

import msgspec
from clickhouse_connect.driver.client import Client

from ledger.fault_points import point
from warehouse.call_links import Version, place_calls, write_rows

DATABASE = "analytics"
STEPS, CALLS = f"{DATABASE}.rollup_call_steps", f"{DATABASE}.rollup_calls"
STAGED, PLACES = f"{STEPS}_staged", f"{STEPS}_places"
ROWS_PER_BUILD, ROWS_PER_INSERT = 30_000, 40_000
"""A row has a hundred columns: an insert of one block holds all of them in memory."""
Offsets = Mapping[int, int]


class Statements(NamedTuple):
    """The statements of a build, in their order. Names in them stand for the rows of the build."""

    stage: str
    copy: str
    read: str
    place: str


def build_call_steps(client: Client, rows_per_build: int = ROWS_PER_BUILD) -> Iterator[str]:
    """Absorb all that is pending; yield the last statement of each build once it is stored. Nothing before dbt's first
    run."""
    if not _has_table(client):
        return
    statements = _read_statements(client)
    stored = ""
    while True:
        absorbed = _read_offsets(client, STEPS)
        ends = find_ends(client, absorbed, rows_per_build)
        condition = _write_condition(absorbed, ends)
        if condition in ("", stored):
            return
        point("rollup.before_build")
        inserts = build_rows(client, statements, absorbed, ends)
        point("rollup.after_build")
        stored = condition
        yield inserts[-1]


def find_ends(client: Client, absorbed: Offsets, rows_per_build: int) -> dict[int, int]:
    """Return the position of each log partition at which the next build ends: of about so many rows, and one record at
    least of each partition with any."""
    reached = _read_offsets(client, CALLS)
    pending = _write_condition(absorbed, reached)
    ends = {partition: max(end, absorbed.get(partition, 0)) for partition, end in reached.items()}
    if pending:
        rows = client.query(f"SELECT log_partition, min(log_offset), count() FROM {CALLS} WHERE {pending} GROUP BY 1")
        share = min(1, rows_per_build / sum(count for _, _, count in rows.result_rows))
        for partition, first, _ in rows.result_rows:
            ends[partition] = first + ceil((ends[partition] - first) * share)
    return ends


def build_rows(client: Client, statements: Statements, absorbed: Offsets, ends: Offsets) -> list[str]:
    """Store one build; return the statements that did. Its tables of rows under way are emptied first."""
    values = {
        "pending_rows": f"({_write_condition(absorbed, ends)})",
        "absorbed_rows": f"({_write_condition({}, ends)})",
        "end_offsets": f"map({', '.join(f'{partition}, {end}' for partition, end in ends.items())})",
        "former_number": str(sum(absorbed.values())),
        "build_number": str(sum(ends.values())),
    }

    def write(statement: str) -> str:
        for name, value in values.items():
            statement = statement.replace(name, value)
        return statement

    for table in (STAGED, PLACES):
        client.command(f"TRUNCATE TABLE {table}")
    for statement in (statements.stage, statements.copy):
        client.command(write(statement))
    versions = client.query(statements.read).result_rows
    steps = place_calls(map(Version._make, versions))
    lines = (msgspec.json.encode(row) for key, step in steps.items() for row in write_rows(key, step))
    client.raw_insert(PLACES, insert_block=b"\n".join(lines), fmt="JSONEachRow", settings={"async_insert": 0})
    insert_count = ceil(len(versions) / ROWS_PER_INSERT)
    inserts = [_write_insert(write(statements.place), number, insert_count) for number in range(insert_count)]
    for insert in inserts:
        client.command(insert)
    return inserts


def _write_insert(place: str, number: int, insert_count: int) -> str:
    """Write one of the inserts of a build: it holds a part of the calls. Trees of so many calls that they need several
    move the position with the last one, so that a build that ends between them is done again."""
    is_part = f"cityHash64(call_key) % {insert_count} = {number}"
    if number + 1 < insert_count:
        place = re.sub(r"map\([0-9, ]+\)(?=\[steps.log_partition\])", "map(0, 0)", place)
    return place.replace("part_of_rows", is_part)


def _has_table(client: Client) -> bool:
    ((count,),) = client.query(
        f"SELECT count() FROM system.tables WHERE concat(database, '.', name) = '{STEPS}_statements'"
    ).result_rows
    return bool(count)


def _read_statements(client: Client) -> Statements:
    columns = ", ".join(f"{name}_statement" for name in Statements._fields)
    return Statements._make(client.query(f"SELECT {columns} FROM {STEPS}_statements").result_rows[0])


def _read_offsets(client: Client, table: str) -> dict[int, int]:
    """Return the offset of each log partition below which a rollup has absorbed every record."""
    rows = client.query(f"SELECT log_partition, max(next_offset) FROM {table} GROUP BY log_partition").result_rows
    return dict(sorted((partition, offset) for partition, offset in rows))


def _write_condition(begins: Offsets, ends: Offsets) -> str:
    """Write the condition of rows from the begins, 0 where there is none, to the ends; empty where there are none."""
    return " OR ".join(
        f"(log_partition = {partition} AND log_offset >= {begins.get(partition, 0)} AND log_offset < {end})"
        for partition, end in ends.items()
        if end > begins.get(partition, 0)
    )
