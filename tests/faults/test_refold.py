"""What is derived is thrown away and made again: the same bytes on the topics, the same answers to every query."""

import shutil
from pathlib import Path

from clickhouse_connect.driver.client import Client

from tests.faults.conftest import Build
from tests.faults.input import history, trace
from tests.faults.proof import find_difference, prove, read_derived_topics

BUDGET = ("--scope", "team=engineering", "--window", "1h", "--reason", "a test", "--limit")
TABLES = ("events", "records", "decisions", "alerts")
QUERIES = (
    *(f"SELECT * FROM tally.{table} WHERE {{reached}} ORDER BY partition, offset, seq" for table in TABLES),
    "SELECT * FROM tally.entries WHERE {reached} ORDER BY partition, offset, seq, class",
    "SELECT team, model, class, sum(quantity), sum(billed_cost) FROM tally.entries GROUP BY ALL ORDER BY ALL",
    "SELECT toDate(time) AS day, outcome, reason, count() FROM tally.events WHERE {reached} GROUP BY ALL ORDER BY ALL",
)
FIGURES = ("events", "tokens", "cost", "list_cost", "quantities", "difference")


def answers(client: Client, positions: dict[str, int]) -> list[bytes]:
    """To questions about what follows from the log up to these positions."""
    reached = ", ".join(f"{partition}, {offset}" for partition, offset in positions.items())
    asked = (query.format(reached=f"offset <= map({reached})[partition]") for query in QUERIES)
    return [client.raw_query(query, fmt="JSONCompactEachRow") for query in asked]


def test_a_refold_gives_the_same_bytes_and_answers(tmp_path: Path, build: Build) -> None:
    house = build()
    house.ask("budget", "set", *BUDGET, "1")
    house.bring(history(tmp_path / "calls.ndjson", 2)[0])
    house.bring(trace(tmp_path / "trace.csv", 5_000), "--set", "model=gpt-4o")
    before = prove(house)
    positions = before["positions"]
    topics, said = read_derived_topics(house.settings, positions), answers(house.client(), positions)
    assert topics and all(said)
    house.stop("sink", "warehouse")
    house.ask("budget", "set", *BUDGET, "2")  # the log goes on meanwhile, as it does when a tick falls due

    for name in ("derived.db", "derived.db-wal", "derived.db-shm"):
        (house.settings.home / "log" / name).unlink(missing_ok=True)
    shutil.rmtree(house.settings.home / "warehouse")

    again = build()
    after = prove(again)
    assert find_difference(read_derived_topics(again.settings, positions), topics) is None
    assert answers(again.client(), positions) == said
    assert {name: after[name] for name in FIGURES} == {name: before[name] for name in FIGURES}
    assert after["decisions_of_people"] == before["decisions_of_people"] + 1
