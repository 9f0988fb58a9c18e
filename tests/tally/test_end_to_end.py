"""The real services: a home is filled, queried, verified and shown, with and without ``tally up``."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger.settings import Settings
from tally.processes.join import needing
from tally.processes.service import list_pipeline_services
from tests.tally.conftest import COMMAND, ROOT, alive, eventually, home_environment, invoke, tally
from tests.warehouse.plugin import InstallWarehouse

CALLS = 400
TOKEN_PRICES = Decimal("0.0000025"), Decimal("0.00001")
"""Price of an input and of an output token of gpt-4o in dollars (genai-prices)."""


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "small.csv"
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    lines += [f"2024-11-16 18:{n // 60:02}:{n % 60:02}.9799600,{1000 + n},{n % 50}" for n in range(CALLS)]
    path.write_bytes("\r\n".join(lines).encode())
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse, trace: Path) -> Path:
    home = install_warehouse(tmp_path_factory.mktemp("home")).home
    command = tally(
        "import", str(trace), "--set", "model=gpt-4o", "--set", "team=search", "--json", TALLY_HOME=str(home)
    )
    assert command.returncode == 0, command.stderr
    imported = json.loads(command.stdout)
    assert (imported["received"], imported["accepted"], imported["counted"]) == (CALLS, CALLS, CALLS)
    return home


@pytest.fixture
def services(home: Path) -> Iterator[None]:
    """Keep the services of a query running, which each command would start for itself."""
    settings = Settings(home=home)
    with needing(settings, list_pipeline_services(settings)):
        yield


def facts(home: Path, *arguments: str, code: int = 0) -> Any:
    command = invoke(*arguments, "--json", TALLY_HOME=str(home))
    assert command.returncode == code, command.stderr
    return json.loads(command.stdout)


def test_sql_has_the_cost_of_what_was_imported(home: Path) -> None:
    expected = sum(((1000 + n) * TOKEN_PRICES[0] + n % 50 * TOKEN_PRICES[1] for n in range(CALLS)), Decimal(0))
    query = "SELECT team, sum(billed_cost) AS cost FROM analytics.fct_daily_costs GROUP BY team"
    command = tally("sql", query, "--format", "JSONCompactStringsEachRow", TALLY_HOME=str(home))
    team, cost = json.loads(command.stdout)
    assert (team, Decimal(cost)) == ("search", expected), command.stderr


def test_what_cannot_be_read_or_made_is_told(home: Path) -> None:
    for arguments, folder in (
        (["sql", "--file", "/nope"], home), (["sql", "--file", "/tmp"], home),
        (["sql", "SELECT 1", "--json", "--format", "CSV"], home), (["import", "x.csv"], Path("/proc/x")),
    ):  # fmt: skip
        command = invoke(*arguments, TALLY_HOME=str(folder))
        assert command.returncode == 2 and len(command.stderr.splitlines()) == 1, command.stderr


@pytest.mark.usefixtures("services")
def test_sql_takes_any_format_and_reads_from_stdin_or_a_file(home: Path, tmp_path: Path) -> None:
    assert tally("sql", "SELECT 1, 'a'", TALLY_HOME=str(home)).stdout == "1\ta\n"
    (tmp_path / "query.sql").write_text("SELECT 2 AS n")
    answer = invoke("sql", "--file", str(tmp_path / "query.sql"), "--format", "CSVWithNames", TALLY_HOME=str(home))
    assert answer.stdout == '"n"\n2\n'
    assert invoke("sql", "-", stdin="SELECT 3", TALLY_HOME=str(home)).stdout == "3\n"


@pytest.mark.usefixtures("services")
def test_what_the_warehouse_refuses_is_told_in_a_sentence(home: Path) -> None:
    for query, reason in (
        ("SELECT nothing FROM tally.nowhere", "UNKNOWN_TABLE"),
        ("DROP TABLE tally.entries", "READONLY"),
        ("SELECT throwIf(number = 500000) FROM numbers(1000000) FORMAT JSONEachRow", "throwIf"),
    ):
        command = invoke("sql", query, TALLY_HOME=str(home))
        assert command.returncode == 2, query
        assert command.stderr.startswith("the warehouse rejected the statement: ") and reason in command.stderr, query
        assert len(command.stderr.splitlines()) == 1, query


def test_verify_proves_it_and_importing_again_changes_nothing(home: Path, trace: Path) -> None:
    before = facts(home, "verify")
    assert before["difference"] is None and before["behind"] == 0
    assert before["events"]["counted"] == CALLS
    assert len(set(before["cost"]["USD"].values())) == 1
    second = facts(home, "import", str(trace), "--set", "model=gpt-4o", "--set", "team=search")
    assert (second["counted"], second["duplicate"], second["conflict"]) == (0, CALLS, 0)
    changed = facts(home, "import", str(trace), "--set", "model=gpt-4o", "--set", "team=other")
    assert (changed["counted"], changed["duplicate"], changed["conflict"]) == (0, 0, CALLS)
    after = facts(home, "verify")
    assert after["difference"] is None
    assert (after["cost"], after["tokens"]) == (before["cost"], before["tokens"])


def test_budgets_and_prices_are_decisions_on_the_log(home: Path) -> None:
    decision = facts(
        home, "budget", "set", "--scope", "team=search", "--limit", "100", "--window", "1h", "--reason", "x"
    )
    assert (decision["dimension"], decision["scope"], decision["limit"], decision["window_s"]) == (
        "team",
        "search",
        "100",
        3600,
    )
    position = ["--partition", str(decision["partition"]), "--offset", str(decision["offset"]), "--limit", "1"]
    command = invoke("log", "events", *position, "--json", TALLY_HOME=str(home))
    assert json.loads(command.stdout)["line"]["data"]["control"] == "budget.allocated"
    assert facts(home, "price", "adopt")["new"] is False
    for wrong in (["--scope", "team"], ["--scope", "planet=x"], ["--limit", "much"], ["--window", "soon"]):
        options = {"--scope": "team=a", "--limit": "1", "--window": "1h", "--reason": "x"} | {wrong[0]: wrong[1]}
        command = invoke("budget", "set", *(word for pair in options.items() for word in pair), TALLY_HOME=str(home))
        assert command.returncode == 2 and len(command.stderr.splitlines()) == 1, command.stderr


def test_wrong_files_and_options_are_told(home: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    for arguments in ([str(tmp_path / "none.csv")], [str(tmp_path / "notes.txt")], ["--set", "model", "x.csv"]):
        command = invoke("import", *arguments, TALLY_HOME=str(home))
        problem, *formats = command.stderr.splitlines()
        assert command.returncode == 2 and not problem.startswith("Traceback"), command.stderr
        assert bool(formats) == ("is of no known format" in problem), "a format a line, and nothing else"


def test_nothing_runs_afterwards_and_status_says_so(home: Path) -> None:
    status = facts(home, "status")
    assert {service["state"] for service in status["services"].values()} == {"not running"}
    assert status["records"]["recorded"] == status["records"]["folded"] > 0
    assert status["records"]["stored"] is None and status["pages"] == {}


@pytest.fixture
def up(home: Path) -> Iterator["subprocess.Popen[str]"]:
    running = start_up(home)
    yield running
    running.terminate()
    running.communicate(timeout=60)


def start_up(home: Path, **environment: str) -> "subprocess.Popen[str]":
    running = subprocess.Popen(
        [*COMMAND, "up"], env=home_environment({"TALLY_HOME": str(home)} | environment), cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout
    for line in running.stdout:
        if line.startswith("Dashboards"):
            break
    return running


def test_under_up_commands_join_and_two_homes_run_side_by_side(
    home: Path, up: "subprocess.Popen[str]", tmp_path: Path, install_warehouse: InstallWarehouse, trace: Path
) -> None:
    status = facts(home, "status")
    running = {name: service for name, service in status["services"].items() if service["state"] == "running"}
    assert set(running) == {"warehouse", "streams", "sink", "api", "alerts", "dashboards", "metrics"}
    with urllib.request.urlopen(status["pages"]["overview"], timeout=60) as page:
        assert page.status == 200
    imported = facts(home, "import", str(trace), "--set", "model=gpt-4o", "--source", "another")
    assert imported["counted"] == CALLS
    count = "SELECT count() FROM analytics.fct_calls"
    eventually(lambda: invoke("sql", count, TALLY_HOME=str(home)).stdout == f"{2 * CALLS}\n")
    assert facts(home, "verify")["difference"] is None

    second_home = install_warehouse(tmp_path / "other").home
    assert facts(second_home, "import", str(trace), "--set", "model=gpt-4o")["counted"] == CALLS
    assert tally("sql", count, TALLY_HOME=str(second_home)).stdout == f"{CALLS}\n"
    second_up = tally("up", TALLY_HOME=str(home))
    assert second_up.returncode == 2 and "already runs" in second_up.stderr
    assert up.poll() is None
    assert {service.get("pid") for service in facts(home, "status")["services"].values()} == {
        service.get("pid") for service in status["services"].values()
    }


@pytest.mark.usefixtures("services")
def test_ctrl_c_ends_the_query_too(home: Path) -> None:
    count_running = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT max(number)%'"
    command = subprocess.Popen(
        [*COMMAND, "sql", "SELECT max(number) FROM system.numbers"], cwd=ROOT,
        env=home_environment({"TALLY_HOME": str(home)}), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    eventually(lambda: invoke("sql", count_running, TALLY_HOME=str(home)).stdout == "1\n")
    command.send_signal(signal.SIGINT)
    assert command.wait(60) == 130
    eventually(lambda: invoke("sql", count_running, TALLY_HOME=str(home)).stdout == "0\n")


def test_kill_9_of_up_leaves_nothing_running_and_of_a_service_is_mended(home: Path, trace: Path) -> None:
    running = start_up(home)
    pids = [service["pid"] for service in facts(home, "status")["services"].values() if "pid" in service]
    running.kill()
    running.communicate()
    eventually(lambda: not any(alive(pid) for pid in pids))

    running = start_up(home)
    services = facts(home, "status")["services"]
    for name in ("warehouse", "streams", "dashboards"):
        os.kill(services[name]["pid"], signal.SIGKILL)
    imported = facts(home, "import", str(trace), "--set", "model=gpt-4o", "--source", "meanwhile")
    assert imported["counted"] == CALLS
    names = [name for name in services if name != "feed"]
    eventually(lambda: all("pid" in facts(home, "status")["services"][name] for name in names))
    after = facts(home, "status")["services"]
    assert after["dashboards"]["url"] == services["dashboards"]["url"]
    assert facts(home, "verify")["difference"] is None
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "the streams worker ended by SIGKILL" in errors
    assert not any(alive(service["pid"]) for service in after.values() if "pid" in service)


def test_a_taken_port_is_told_in_a_sentence(home: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        command = tally("up", TALLY_HOME=str(home), TALLY_DASHBOARDS_PORT=port)
        assert command.returncode == 2 and f"TALLY_DASHBOARDS_PORT {port}" in command.stderr.splitlines()[-1]
        command = tally("sql", "SELECT 1", TALLY_HOME=str(home), TALLY_WAREHOUSE_PORT=port)
        assert command.returncode == 2 and "TALLY_WAREHOUSE_PORT" in command.stderr
        assert len(command.stderr.splitlines()) == 1
