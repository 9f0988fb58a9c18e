"""The tables admit each line once, whatever is sent again, late, at once, or cut by a kill."""

import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tallystick import Inference
from tests.warehouse.build import NOVEMBER, call, line, run_of
from tests.warehouse.conftest import Front
from warehouse.migrate import migrate

Counts = tuple[int, int, int]


def store(client: Client, body: bytes, table: str = "tally.entries_in") -> None:
    client.raw_insert(table, insert_block=body, fmt="JSONEachRow", settings={"async_insert": 0})


def counts(client: Client) -> Counts:
    """Rows of events, entries and records; each position of each table must be there once."""
    result = []
    for table, key in (("events", ""), ("entries", ", class"), ("records", "")):
        (rows,) = client.query(f"SELECT count(), uniqExact(partition, offset, seq{key}) FROM tally.{table}").result_rows
        assert rows[0] == rows[1], f"{table} has doubled rows"
        result.append(rows[0])
    return result[0], result[1], result[2]


def test_a_line_fills_its_tables(client: Client) -> None:
    store(client, run_of(range(3)))
    assert counts(client) == (30, 60, 3)
    (row,) = client.query(
        "SELECT team, class, quantity, list_cost, currency, time FROM tally.entries"
        " WHERE offset = 1 AND event_index = 4 AND class = 'output'"
    ).named_results()
    assert (row["team"], row["quantity"], row["list_cost"]) == ("search", 5, Decimal("0.000000000005"))


def test_an_entry_may_take_away(client: Client) -> None:
    """A reversal is an entry below zero: its quantity and its costs are signed."""
    cost = dict.fromkeys(("list_cost", "contracted_cost", "effective_cost", "billed_cost"), "-0.000000000005")
    reversal = {"class": "input", "quantity": -5, "unit_price": "0.000000000001", **cost}
    store(client, json.dumps(call(0, 0, lines=[reversal])).encode())
    ((quantity, billed),) = client.query("SELECT sum(quantity), sum(billed_cost) FROM tally.entries").result_rows
    assert (quantity, billed) == (-5, Decimal("-0.000000000005"))


def test_an_insert_repeated_or_late_adds_nothing(client: Client) -> None:
    store(client, run_of(range(3)))
    store(client, run_of(range(3)))
    store(client, run_of(range(1, 5)))
    store(client, run_of(range(2)))
    assert counts(client) == (50, 100, 5)


def test_log_partitions_do_not_disturb_each_other(client: Client) -> None:
    store(client, run_of(range(7, 9), partition=4) + run_of(range(3), partition=5))
    store(client, run_of(range(9), partition=4) + run_of(range(5), partition=5))
    assert counts(client) == (70, 140, 7)


def test_an_insert_of_two_months_is_refused_whole(client: Client) -> None:
    store(client, run_of([0]))
    with pytest.raises(DatabaseError, match="one month of acceptance"):
        store(client, run_of([1]) + run_of([2], ms=NOVEMBER))
    assert counts(client) == (10, 20, 1)


def test_inserts_of_one_run_at_once_store_it_once(front: Front, client: Client) -> None:
    clients = [front.client() for _ in range(4)]
    names = ["tally.entries_in", "`tally`.`entries_in`", '"tally"."entries_in"', "TABLE tally . entries_in"]
    with ThreadPoolExecutor(4) as several:
        for first in range(0, 60, 20):
            body = run_of(range(first, first + 20))
            list(several.map(lambda pair: store(pair[0], body, pair[1]), zip(clients, names, strict=True)))  # noqa: B023
    assert counts(client) == (600, 1200, 60)


def test_a_line_that_cannot_be_read_refuses_the_insert(client: Client) -> None:
    with pytest.raises(DatabaseError):
        store(client, run_of(range(2)) + b'{"partition": 3, "offset": "x"}\n')
    with pytest.raises(DatabaseError):
        store(client, run_of(range(2))[:-40])
    assert counts(client) == (0, 0, 0)


def test_decisions_and_alerts_are_guarded_too(client: Client) -> None:
    decisions = [
        line(7, 1, decision="control.applied", control_type="budget.allocated", limit="1.5", currency="USD"),
        line(7, 2, decision="threshold.crossed", threshold=50, used="0.750000000001", limit="1.5"),
    ]
    alert = line(
        8, 1, alert="a", state="raised", detector="repeated_tool", session="s", tool="t", arguments_hash="h",
        result_hash="r", repeats=3, spent={"USD": "0.25"}, since_us=1, last_us=2,
        evidence=[{"source": "x", "id": "1", "partition": 3, "offset": 8, "event_index": 0}],
    )  # fmt: skip
    for _ in range(2):
        store(client, b"\n".join(json.dumps(one).encode() for one in decisions), "tally.decisions_in")
        store(client, json.dumps(alert).encode(), "tally.alerts_in")
    assert [row[1] for row in client.query("SELECT seq, toString(used) FROM tally.decisions ORDER BY seq").result_rows][
        1
    ] == "0.750000000001"
    assert client.query("SELECT count(), any(spent['USD']), any(evidence[1].id) FROM tally.alerts").first_row == (
        1,
        Decimal("0.25"),
        "1",
    )


def test_rows_can_be_removed_altered_and_doubled_so_that_verify_can_be_shown_to_fail(client: Client) -> None:
    store(client, run_of(range(3)))
    client.command("DELETE FROM tally.entries WHERE offset = 1 AND seq = 2")
    client.command("ALTER TABLE tally.entries UPDATE quantity = 9 WHERE offset = 2", settings={"mutations_sync": 2})
    client.command("INSERT INTO tally.events SELECT * FROM tally.events WHERE offset = 0")
    assert client.query("SELECT count(), sum(quantity) FROM tally.entries").first_row == (58, 38 * 5 + 20 * 9)
    assert client.query("SELECT count() FROM tally.events").first_row == (40,)


def test_every_plain_field_of_an_inference_has_a_column(client: Client) -> None:
    nested = {"tokens", "quantities", "reported_tokens", "provider_usage", "rate_limits", "violations"}
    columns = {row[0] for row in client.query("SELECT name FROM system.columns WHERE table = 'events'").result_rows}
    assert set(Inference.model_fields) - nested <= columns


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_a_front_killed_in_mid_insert_neither_loses_nor_doubles(start: Callable[[], Front], seed: int) -> None:
    moment = random.Random(seed)
    front = start()
    migrate(front.client())
    bodies = [run_of(range(first, first + 30), calls=100) for first in range(0, 120, 30)]
    with ThreadPoolExecutor(1) as sending:
        for body in bodies:
            sent = sending.submit(store, front.client(), body)
            time.sleep(moment.random() * 0.4)
            front.kill()
            sent.exception()
            front.start()
            store(front.client(), body)
    assert counts(front.client()) == (12_000, 24_000, 120)
    assert front.stop() == 0
