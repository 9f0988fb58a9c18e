"""docs/connect.md, each line run as it stands by an analyst of a served warehouse; and more of JDBC."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ledger.home.presence import find_presence
from ledger.settings import Settings
from tests.dashboards.feed import Feed, call
from tests.dashboards.server import ROOT, warehouse
from tests.tally.conftest import invoke, tally
from tests.warehouse import java
from tests.warehouse.plugin import InstallWarehouse
from warehouse.client import connect
from warehouse.embedded.analyst.policy import LIMITS
from warehouse.embedded.analyst.query_slots import MAX_QUERIES, MAX_RUNNING_QUERIES

PAGE = ROOT / "docs" / "connect.md"
BLOCK = re.compile(r"^```(\w*)(?: ([^\n]+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
COSTS = {"search": Decimal("0.0000175"), "support": Decimal("0.000025")}


def blocks(kind: str, said: str = "") -> list[str]:
    return [body for found, about, body in BLOCK.findall(PAGE.read_text()) if (found, about) == (kind, said)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Settings]:
    """A warehouse with its models, and two calls of two teams."""
    with warehouse(install_warehouse(tmp_path_factory.mktemp("connect")).home) as settings:
        feed = Feed(settings)
        feed.begin()
        feed.add([
            call("1", NOON, team="search", environment="production", provider="openai", model="gpt-4o",
                 model_resolved="gpt-4o", tokens={"input": 3, "output": 1}),
            call("2", NOON, team="support", environment="production", provider="openai", model="gpt-4o",
                 model_resolved="gpt-4o", tokens={"input": 10}),
        ])  # fmt: skip
        feed.close()
        yield settings


@pytest.fixture(scope="module")
def environment(served: Settings) -> dict[str, str]:
    """What the page tells to set, with the values of this warehouse."""
    facts = find_presence(served.home, "warehouse") or {}
    where = urlsplit(facts["url"])
    (told,) = blocks("sh", "values")
    values = {
        "CLICKHOUSE_HOST": str(where.hostname), "CLICKHOUSE_PORT": str(where.port),
        "CLICKHOUSE_USER": facts["analyst"]["user"], "CLICKHOUSE_PASSWORD": facts["analyst"]["password"],
    }  # fmt: skip
    assert re.findall(r"CLICKHOUSE_\w+", told) == list(values)
    return values


def test_every_block_is_run_or_says_why_not() -> None:
    found = {(kind, about.split(":")[0]) for kind, about, _ in BLOCK.findall(PAGE.read_text())}
    sending = {("sh", "sending"), ("yaml", "sending")}
    assert found == {("sh", "values"), ("sh", ""), ("python", ""), ("java", ""), ("sql", "untested")} | sending


def test_status_tells_both_users(served: Settings, environment: dict[str, str]) -> None:
    told = tally("status", TALLY_HOME=str(served.home), COLUMNS="200").stdout
    part = json.loads(invoke("status", "--json", TALLY_HOME=str(served.home)).stdout)["services"]["warehouse"]
    assert part["analyst"] == {"user": "analyst", "password": environment["CLICKHOUSE_PASSWORD"]}
    assert part["user"] == "tally" and part["password"] in told and environment["CLICKHOUSE_PASSWORD"] in told


def test_curl(environment: dict[str, str], tmp_path: Path) -> None:
    import polars

    first, second = (
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, check=True,
        ).stdout
        for block in blocks("sh")
    )  # fmt: skip
    assert [first.index("support"), first.index("search")] == sorted([first.index("support"), first.index("search")])
    assert all(f"{cost:f}" in first for cost in COSTS.values()) and second == ""
    assert polars.read_parquet(tmp_path / "calls.parquet")["team"].to_list() == ["search"]


def test_python(environment: dict[str, str], tmp_path: Path) -> None:
    """The blocks are one program: clickhouse-connect, pandas, polars."""
    said = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks("python"))],
        cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.startswith("gpt-4o 1 0.000017500000\n")
    assert said.count("0.000025") == 2, said  # by pandas, and by polars


def test_jdbc(environment: dict[str, str], tmp_path: Path) -> None:
    (program,) = blocks("java")
    said = java.run(program, tmp_path, environment)
    assert {team: Decimal(cost) for team, cost in (line.split() for line in said.splitlines())} == COSTS


METADATA = """
import java.sql.*;

public class Metadata {
    interface Asked { ResultSet rows() throws SQLException; }

    static void tell(String what, Asked asked) {
        try (ResultSet rows = asked.rows()) {
            int count = 0;
            while (rows.next()) count++;
            System.out.println(what + " " + count);
        } catch (Exception error) {
            System.out.println(what + " " + error.getMessage().split(" DB::")[0]);
        }
    }

    public static void main(String[] args) throws SQLException {
        String url = "jdbc:clickhouse://" + System.getenv("CLICKHOUSE_HOST") + ":" + System.getenv("CLICKHOUSE_PORT");
        Connection connection =
            DriverManager.getConnection(url, System.getenv("CLICKHOUSE_USER"), System.getenv("CLICKHOUSE_PASSWORD"));
        DatabaseMetaData all = connection.getMetaData();
        tell("schemas", () -> all.getSchemas());
        tell("tables", () -> all.getTables(null, "analytics", "fct_%", null));
        tell("columns", () -> all.getColumns(null, "tally", "migrations", "%"));
        tell("types", () -> all.getTypeInfo());
        tell("functions", () -> all.getFunctions(null, null, "arrayMap"));
        tell("keys", () -> all.getPrimaryKeys(null, "tally", "entries"));
        tell("indexes", () -> all.getIndexInfo(null, "tally", "entries", false, false));
        Statement statement = connection.createStatement();
        tell("large", () -> statement.executeQuery("SELECT number, toString(number) FROM numbers(300000)"));
        tell("names", () -> statement.executeQuery("SHOW TABLES FROM tally LIKE 'migrations'"));
        tell("described", () -> statement.executeQuery("DESCRIBE TABLE tally.migrations"));
        tell("write", () -> statement.executeQuery("INSERT INTO tally.migrations (name) VALUES ('x')"));
        tell("file", () -> statement.executeQuery("SELECT file('/etc/passwd')"));
        System.out.println("valid " + connection.isValid(5));
    }
}
"""


def test_what_tools_over_jdbc_ask_of_a_database(environment: dict[str, str], tmp_path: Path) -> None:
    """As DBeaver and DataGrip do, and an answer of more than one block."""
    said = dict(line.split(maxsplit=1) for line in java.run(METADATA, tmp_path, environment).splitlines())
    models = len(list((ROOT / "dbt" / "models" / "marts").rglob("fct_*.sql")))
    assert int(said.pop("schemas")) >= 3 and int(said.pop("types")) > 30 and int(said.pop("keys")) > 0
    assert said == {
        "tables": str(models), "columns": "3", "functions": "1", "indexes": "0", "large": "300000", "names": "1",
        "described": "3", "write": "Code: 497.", "file": "Code: 497.", "valid": "true",
    }  # fmt: skip


def test_the_statements_for_a_server_can_be_read(served: Settings) -> None:
    (sql,) = (body for kind, about, body in BLOCK.findall(PAGE.read_text()) if kind == "sql")
    client = connect(served)
    for statement in filter(str.strip, sql.split(";")):
        assert client.command("SELECT formatQuery({sql:String})", parameters={"sql": statement})


def test_the_limits_that_are_told_are_those_that_hold() -> None:
    told = PAGE.read_text()
    assert f"| {MAX_QUERIES}, of which {MAX_RUNNING_QUERIES} run" in told
    assert f"| {LIMITS['max_execution_time']} seconds" in told
    assert f"| {int(LIMITS['max_memory_usage']) >> 20} MiB (241)" in told
