"""Rollups hold each signed row once, however the log is cut into builds, and whatever is repeated, late or killed."""

import json
import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from audit.budget_ticks import find_ticks_difference
from audit.call_steps import find_steps_difference
from ledger.settings import Settings
from tests.warehouse.build import OCTOBER, call, line
from tests.warehouse.conftest import Front
from tests.warehouse.plugin import InstallWarehouse
from warehouse import rollups
from warehouse.call_steps import build_call_steps
from warehouse.client import WarehouseAway
from warehouse.rollups import PENDING_ROWS, build_rollups, empty_rollups, list_rollups

TABLES = ("events", "entries", "records")
WATCHED = ["rollup_provider_minutes", "rollup_sender_hours", "rollup_spend_days"]
"""Those that the marts of anomalies read."""
ROLLUPS = ["rollup_budget_ticks", "rollup_calls", "rollup_usage_hours", *WATCHED]
REPORTS = "rollup_grant_meters"
"""The rollup that absorbs decisions; tests/dbt/test_grants.py proves it."""
STEPS = "rollup_call_steps"
PARTITIONS = (3, 4)
COSTS = ("list_cost", "contracted_cost", "effective_cost", "billed_cost")
HOUR_US = 3_600_000_000
Line = dict[str, Any]


class SignedLog:
    """A log of calls and what takes them back, replaces or restates them, in two partitions, from a seed. Calls name
    those that caused them: earlier and later ones, of both partitions, spans of a trace, and some that never come."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._offsets = dict.fromkeys(PARTITIONS, 0)
        self._calls: list[Line] = []

    def write_records(self, count: int) -> bytes:
        """Return the body of an insert: so many records of one partition."""
        partition = self._chance.choice(PARTITIONS)
        return b"".join(self._write_record(partition) for _ in range(count))

    def _write_record(self, partition: int) -> bytes:
        offset = self._offsets[partition]
        self._offsets[partition] += 1
        lines: list[Line] = []
        for index in range(self._chance.randrange(5)):
            own_calls = [old for old in self._calls if old["partition"] == partition]
            if own_calls and self._chance.random() < 0.4:
                lines += self._amend(self._chance.choice(own_calls), offset, index, len(lines))
            else:
                lines.append(self._write_call(partition, offset, index, len(lines)))
        self._calls += [written for written in lines if written["outcome"] == "counted" and written["lines"]]
        lines.append(line(offset, len(lines) + 1, partition, outcome="record", received=len(lines), channel="test"))
        return b"".join(
            json.dumps({"organization": f"org-{partition}"} | written).encode() + b"\n" for written in lines
        )

    def _write_call(self, partition: int, offset: int, index: int, place: int) -> Line:
        chance = self._chance
        fields: Line = {"team": chance.choice(("search", "support", "")), "model": chance.choice(("m1", "m2"))}
        fields["time_us"] = OCTOBER * 1000 + chance.randrange(-5, 5) * HOUR_US + chance.randrange(HOUR_US)
        if chance.random() < 0.2:
            fields |= {"pricing": "unknown", "lines": [], "currency": "", "unknown_tokens": chance.randrange(9)}
        elif chance.random() < 0.2:
            fields |= {"outcome": "quarantined", "pricing": "", "lines": [], "reason": "token_totals_mismatch"}
        elif chance.random() < 0.1:
            fields |= {"kind": "observation", "pricing": "", "lines": []}
        else:
            amount = f"{chance.randrange(10**6)}.{chance.randrange(10**12):012}"
            list_cost = chance.choice((amount, "10000000.5", None))  # None: only a contract prices it
            fields["lines"] = [
                _write_entry(name, chance.randrange(10**6), amount) | {"list_cost": list_cost}
                for name in ("input", "output")
            ]
            fields["billing_month"] = chance.choice(("", "2026-11"))
            fields["currency"] = chance.choice(("USD", "USD", "EUR"))
        fields |= self._name_causes(partition, offset)
        return call(offset, index, partition, **fields) | {"seq": place + 1}

    def _name_causes(self, partition: int, offset: int) -> Line:
        """Choose an organization, which may have calls in both partitions, the calls above, tags and an id."""
        chance = self._chance
        name = f"{chance.choice(PARTITIONS)}-{max(0, offset + chance.randrange(-3, 3))}-{chance.randrange(3)}"
        fields: Line = {"organization": chance.choice((f"org-{partition}", "shared", "shared"))}
        fields["parent_call"] = chance.choice((name, name, name, "never", "span", ""))
        fields["root_call"] = chance.choice(("", "", name, "trace", "lost"))
        fields["tags"] = {"ring": "a"} if chance.random() < 0.3 else {}
        fields["attempt"] = chance.choice((None, 2))
        return fields | ({"id": "trace:span"} if chance.random() < 0.03 else {})

    def _amend(self, old: Line, offset: int, index: int, place: int) -> list[Line]:
        """Take a call back; or put the same usage at another price in its place, or another call, or a revision."""
        own = {"offset": offset, "event_index": index, "original_offset": old["offset"]}
        own |= {"original_index": old["event_index"]}
        negative = [{name: _negate(value) for name, value in entry.items()} for entry in old["lines"]]
        reason = self._chance.choice(("restatement", "restatement", "reversal", "replacement", "revision"))
        lines = [old | own | {"seq": place + 1, "outcome": "reversal", "reason": reason, "lines": negative}]
        if reason == "restatement":
            entries = [_write_entry(entry["class"], entry["quantity"], "7.5") for entry in old["lines"]]
            lines.append(old | own | {"seq": place + 2, "outcome": "restatement", "lines": entries})
        elif reason in ("replacement", "revision"):
            new = self._write_call(old["partition"], offset, index, place + 1) | {"organization": old["organization"]}
            is_revision = reason == "revision"
            own = {} if is_revision else {"original_offset": old["offset"], "original_index": old["event_index"]}
            own |= {"id": old["id"]} if is_revision else {"id": f"correction-{offset}-{index}"}
            lines.append(new | own | {"outcome": "counted" if is_revision else "replacement", "kind": "inference"})
        return lines


def _write_entry(name: str, quantity: int, cost: str) -> Line:
    return {"class": name, "quantity": quantity, **dict.fromkeys(COSTS, cost)}


def _negate(value: Any) -> Any:
    return f"-{value}" if isinstance(value, str) and "." in value else -value if isinstance(value, int) else value


@pytest.fixture(scope="module")
def built_front(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Front]:
    """A front on a home with the models."""
    front = Front(install_warehouse(tmp_path_factory.mktemp("rollups")).home)
    yield front
    if front.process.poll() is None:
        front.kill()


def clear(client: Client) -> None:
    for table in TABLES:
        client.command(f"TRUNCATE TABLE tally.{table}")
    empty_rollups(client)


def store(client: Client, body: bytes) -> None:
    client.raw_insert("tally.entries_in", insert_block=body, fmt="JSONEachRow", settings={"async_insert": 0})


def ask(client: Client, sql: str) -> tuple[Any, ...]:
    """Return the only row of an answer."""
    (row,) = client.query(sql).result_rows
    return tuple(row)


def read_rollups(client: Client) -> dict[str, bytes]:
    """Return the content of each rollup, merged."""
    contents = {
        name: f"* FROM analytics.{name} FINAL" for name in ("rollup_budget_ticks", "rollup_usage_hours", *WATCHED)
    }
    contents |= {STEPS: f"* EXCEPT (next_offset, build) FROM analytics.{STEPS} FINAL"}  # which build wrote a tree
    contents |= {"rollup_calls": "* FROM analytics.rollup_calls"}
    return {name: client.raw_query(f"SELECT {content} ORDER BY ALL", fmt="TSV") for name, content in contents.items()}


def read_full_refresh(client: Client) -> dict[str, bytes]:
    """Return what one build of everything makes of each rollup."""
    empty_rollups(client)
    build_rollups(client)
    return read_rollups(client)


def read_sums(client: Client, mart: str) -> tuple[Any, ...]:
    """Return sums of a mart that all of them have."""
    names = ("calls", "tokens", "unknown_tokens", *COSTS, *(["contract_savings"] if mart != "fct_calls" else []))
    return ask(client, f"SELECT {', '.join(f'sum({name})' for name in names)} FROM analytics.{mart}")


def build_once(client: Client, name: str, max_rows: int) -> str | None:
    """Store one build of about so many rows; return its last statement, None where nothing is pending."""
    if name == STEPS:
        return next(build_call_steps(client, max_rows), None)
    next_statement, build_statement = ask(
        client, f"SELECT next_build_statement, build_statement FROM analytics.{name}_build"
    )
    small = re.sub(r"least\(1, \d+ /", f"least(1, {max_rows} /", next_statement)
    assert small != next_statement
    (condition,) = ask(client, small)
    if not condition:
        return None
    statement: str = build_statement.replace(PENDING_ROWS, f"({condition})")
    client.command(statement)
    return statement


TABLES_BUILT = [*ROLLUPS, STEPS]


def check_trees(client: Client) -> None:
    """Compare the sums of calls, steps and trees, as of what is absorbed, by organization."""
    sums = "organization, sum(calls), sum(tokens), sum(ifNull(list_cost, 0)), sum(ifNull(billed_cost, 0))"
    marts = {
        mart: client.query(f"SELECT {sums} FROM analytics.{mart} GROUP BY ALL ORDER BY ALL").result_rows
        for mart in ("int_calls_owned", "fct_call_steps", "fct_call_trees")
    }
    assert marts["int_calls_owned"] == marts["fct_call_steps"] == marts["fct_call_trees"]


def test_dbt_makes_the_rollups_with_their_statements(built_front: Front) -> None:
    assert sorted(list_rollups(built_front.client())) == sorted([*ROLLUPS, REPORTS])


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["store", "store", "build", "build", "repeat", "merge"]), st.integers(1, 12)),
    min_size=4,
    max_size=10,
)


@pytest.mark.parametrize("examples", [3, pytest.param(40, marks=pytest.mark.long)])
def test_any_split_into_builds_gives_the_same_rollups(built_front: Front, examples: int) -> None:
    # without shrinking: each example takes seconds
    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate],
        database=None,
    )  # fmt: skip
    @given(seed=st.integers(0, 10**6), actions=ACTIONS)
    def check(seed: int, actions: list[tuple[str, int]]) -> None:
        check_split(built_front, seed, actions)

    check()


def check_split(built_front: Front, seed: int, actions: list[tuple[str, int]]) -> None:
    """Store a log, build and merge as the actions say: marts are right after each, rollups equal one build of all."""
    client, log, statements = built_front.client(), SignedLog(seed), list[str]()
    clear(client)
    for action, number in actions:
        if action == "store":
            store(client, log.write_records(number))
        elif action == "merge":
            client.command(f"OPTIMIZE TABLE analytics.{TABLES_BUILT[number % 4]} FINAL")
        elif action == "repeat":
            for statement in statements[-number:]:
                client.command(statement)
        else:
            statements += filter(None, [build_once(client, TABLES_BUILT[number % 4], number * 3)])
        assert read_sums(client, "fct_usage_hourly") == read_sums(client, "fct_usage")
    check_trees(client)
    build_rollups(client)
    parts, calls = read_rollups(client), client.raw_query("SELECT * FROM analytics.fct_calls ORDER BY ALL", fmt="TSV")
    check_trees(client)
    assert parts == read_full_refresh(client)
    empty_rollups(client)
    assert client.raw_query("SELECT * FROM analytics.fct_calls ORDER BY ALL", fmt="TSV") == calls


def test_readers_see_the_same_sums_while_rollups_are_built(built_front: Front) -> None:
    """A mart reads the rollup and what lies beyond its position as of one moment."""
    client, log = built_front.client(), SignedLog(7)
    clear(client)
    for _ in range(4):
        store(client, log.write_records(20))
    truth = {mart: read_sums(client, mart) for mart in ("fct_usage_hourly", "fct_calls")}
    is_built = False

    def read(mart: str) -> set[tuple[Any, ...]]:
        answers = set()
        with closing(built_front.client()) as reader:
            while not is_built:
                answers.add(read_sums(reader, mart))
        return answers

    with ThreadPoolExecutor(2) as readers:
        answers = {mart: readers.submit(read, mart) for mart in truth}
        try:
            for name in ROLLUPS:
                while build_once(client, name, 40):
                    pass
        finally:
            is_built = True
    assert {mart: future.result() for mart, future in answers.items()} == {mart: {truth[mart]} for mart in truth}


def test_a_build_waits_for_what_a_kill_left_out(built_front: Front) -> None:
    """After a kill in mid-insert the events may be stored and their entries not: such calls are not absorbed yet."""
    client = built_front.client()
    clear(client)
    bodies = [SignedLog(seed).write_records(20) for seed in (1, 1)]
    store(client, bodies[0])
    (half,) = ask(client, "SELECT max(offset) - 10 FROM tally.events")
    client.command(f"DELETE FROM tally.entries WHERE offset > {half}", settings={"lightweight_deletes_sync": 2})
    build_rollups(client)
    (absorbed,) = ask(client, "SELECT max(next_offset) FROM analytics.rollup_calls")
    assert absorbed <= half + 1
    store(client, bodies[1])  # the sink sends the insert again
    build_rollups(client)
    assert read_rollups(client) == read_full_refresh(client)


PLACE = "a place that the call above it does not have"
CHANGES = {
    "DELETE FROM {table} WHERE call_key = '{key}'": "missing",
    "INSERT INTO {table} SELECT * REPLACE (accepted_at + 1 AS accepted_at, occurred_at + 1 AS occurred_at)"
    " FROM {table} FINAL WHERE call_key = '{key}'": "2 rows for 1",
    "{change} (build + 1 AS build, ifNull(billed_cost, 0) + 1 AS billed_cost) {row}": "other figures",
    "{change} (build + 1 AS build, depth + 1 AS depth) {row}": PLACE,
    "{change} (build + 1 AS build, 'other' AS parent_span, 'other' AS above_key) {row}": PLACE,
    "{change} (build + 1 AS build, arrayMap(x -> x + 1, subtree_calls) AS subtree_calls) {row}": "other sums of what is"
    " below it",
}
"""What somebody does to a call in a tree, and what an audit says of it."""


def test_the_audit_names_a_call_that_is_missing_double_or_misplaced(built_front: Front) -> None:
    client, log, table = built_front.client(), SignedLog(5), f"analytics.{STEPS}"
    clear(client)
    store(client, b"".join(log.write_records(10) for _ in range(4)))
    build_rollups(client)
    assert find_steps_difference(client, "analytics") is None
    (key,) = ask(client, f"SELECT call_key FROM {table} FINAL WHERE depth = 1 ORDER BY call_key LIMIT 1")
    row = f"FROM {table} FINAL WHERE call_key = '{key}'"
    for change, state in CHANGES.items():
        statement = change.format(table=table, key=key, row=row, change=f"INSERT INTO {table} SELECT * REPLACE")
        client.command(statement, settings={"lightweight_deletes_sync": 2})
        difference = find_steps_difference(client, "analytics")
        assert difference is not None and difference["where"]["call"] == key, state
        assert difference["warehouse"] == state and f"TRUNCATE TABLE {table}" in difference["way_out"]
        client.command(f"TRUNCATE TABLE {table}")
        build_rollups(client)
    assert find_steps_difference(client, "analytics") is None


CHANGED_TICKS = ("spend + 1 AS spend", "last_spent_us + 1 AS last_spent_us", "0 AS first_offset", "9999 AS last_offset",
                 "unknown_calls + 1 AS unknown_calls", "tick + 1 AS tick")  # fmt: skip


def test_the_audit_names_the_dimension_whose_ticks_are_not_the_ledgers(built_front: Front) -> None:
    client, log, table = built_front.client(), SignedLog(6), "analytics.rollup_budget_ticks"
    clear(client)
    store(client, b"".join(log.write_records(10) for _ in range(6)))
    for max_rows in (20, 1000):
        build_once(client, "rollup_budget_ticks", max_rows)
        assert find_ticks_difference(client, "analytics") is None
    client.command(f"CREATE TABLE analytics.kept ENGINE = Memory AS SELECT * FROM {table}")
    for change in CHANGED_TICKS:
        client.command(f"TRUNCATE TABLE {table}")
        replaced = "SELECT * FROM analytics.kept WHERE dimension != 'team' UNION ALL"
        replaced += f" SELECT * REPLACE ({change}) FROM analytics.kept WHERE dimension = 'team'"
        client.command(f"INSERT INTO {table} {replaced}")
        difference = find_ticks_difference(client, "analytics")
        assert difference is not None and difference["where"]["dimension"] == "team", change
        assert f"TRUNCATE TABLE {table}" in difference["way_out"]
    client.command("DROP TABLE analytics.kept")


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.long)])
def test_builds_killed_at_random_points_equal_a_full_refresh(
    tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse, kills: int
) -> None:
    """The engine dies while it builds, and is started again; the build is then asked for again, or another is."""
    chance, log = random.Random(kills), SignedLog(kills)
    front = Front(install_warehouse(tmp_path_factory.mktemp("killed")).home)

    def build() -> None:
        with suppress(ClickHouseError, WarehouseAway, OSError):  # it was killed
            build_rollups(front.client())

    for _ in range(kills):
        client = front.client()
        for _ in range(3):
            store(client, log.write_records(40))
        with ThreadPoolExecutor(1) as builder:
            future = builder.submit(build)
            time.sleep(chance.random() * 0.5)
            front.kill()
            future.result()
        front.start()
    build_rollups(front.client())
    rollups = read_rollups(front.client())
    assert rollups == read_full_refresh(front.client()) and rollups["rollup_calls"]
    (counted,) = ask(front.client(), "SELECT countIf(NOT is_amendment) FROM analytics.rollup_calls")
    assert rollups[STEPS].count(b"\n") == counted
    front.stop()


def test_a_lock_that_cannot_be_opened_is_reported_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rollups, "BUILD_INTERVAL_S", 0.01)
    config = Settings(home=tmp_path)
    (config.run / rollups.LOCK).mkdir(parents=True)
    output = ""
    with rollups.building(config):
        while output.count("The rollups cannot be built; retrying") < 2:
            output += capsys.readouterr().out
            time.sleep(0.01)
    assert rollups.LOCK in output
