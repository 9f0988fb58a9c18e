"""What is derived is thrown away and made again: the same bytes on the topics, the same answers to every query."""

import shutil
from pathlib import Path

from clickhouse_connect.driver.client import Client

from tests.faults.conftest import Build
from tests.faults.input import history, trace
from tests.faults.proof import derived, prove

TABLES = ("events", "entries", "records", "decisions", "alerts")
QUERIES = (
    *(f"SELECT * FROM tally.{table} ORDER BY partition, offset, seq" for table in TABLES if table != "entries"),
    "SELECT * FROM tally.entries ORDER BY partition, offset, seq, class",
    "SELECT team, model, class, sum(quantity), sum(billed_cost) FROM tally.entries GROUP BY ALL ORDER BY ALL",
    "SELECT toDate(time) AS day, outcome, reason, count() FROM tally.events GROUP BY ALL ORDER BY ALL",
)


def answers(client: Client) -> list[bytes]:
    return [client.raw_query(query, fmt="JSONCompactEachRow") for query in QUERIES]


def test_a_refold_gives_the_same_bytes_and_answers(tmp_path: Path, build: Build) -> None:
    house = build()
    house.ask("budget", "set", "--scope", "team=engineering", "--limit", "1", "--window", "1h", "--reason", "a test")
    house.bring(history(tmp_path / "calls.ndjson", 2)[0])
    house.bring(trace(tmp_path / "trace.csv", 5_000), "--set", "model=gpt-4o")
    before = prove(house)
    topics, said = derived(house.settings.home), answers(house.client())
    assert topics and all(said)
    house.stop("sink", "warehouse")

    for name in ("derived.db", "derived.db-wal", "derived.db-shm"):
        (house.settings.home / "log" / name).unlink(missing_ok=True)
    shutil.rmtree(house.settings.home / "warehouse")

    again = build()
    after = prove(again)
    assert derived(again.settings.home) == topics
    assert answers(again.client()) == said
    assert after == before
