"""The real parts: a home is filled, asked, proved and shown, with and without ``tally up``."""

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

from tests.tally.conftest import ROOT, alive, eventually, home_environment, tally

CALLS = 400
CENTS = Decimal("0.0000025"), Decimal("0.00001")
"""What a token of input and of output of gpt-4o costs in dollars (genai-prices)."""


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "small.csv"
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    lines += [f"2024-11-16 18:{n // 60:02}:{n % 60:02}.9799600,{1000 + n},{n % 50}" for n in range(CALLS)]
    path.write_bytes("\r\n".join(lines).encode())
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, trace: Path) -> Path:
    home = tmp_path_factory.mktemp("home")
    imported = facts(home, "import", str(trace), "--set", "model=gpt-4o", "--set", "team=search")
    assert (imported["received"], imported["accepted"], imported["counted"]) == (CALLS, CALLS, CALLS)
    return home


def facts(home: Path, *arguments: str, code: int = 0) -> Any:
    done = tally(*arguments, "--json", TALLY_HOME=str(home))
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_sql_has_the_cost_of_what_was_imported(home: Path) -> None:
    wanted = sum(((1000 + n) * CENTS[0] + n % 50 * CENTS[1] for n in range(CALLS)), Decimal(0))
    query = "SELECT team, sum(billed_cost) AS cost FROM analytics.fct_daily_costs GROUP BY team"
    done = tally("sql", query, "--format", "JSONCompactStringsEachRow", TALLY_HOME=str(home))
    team, cost = json.loads(done.stdout)
    assert (team, Decimal(cost)) == ("search", wanted), done.stderr


def test_what_cannot_be_read_or_made_is_told(home: Path) -> None:
    for arguments, where in (
        (["sql", "--file", "/nope"], home), (["sql", "--file", "/tmp"], home),
        (["sql", "SELECT 1", "--json", "--format", "CSV"], home), (["import", "x.csv"], Path("/proc/x")),
    ):  # fmt: skip
        done = tally(*arguments, TALLY_HOME=str(where))
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr


def test_sql_takes_any_format_and_reads_from_stdin_or_a_file(home: Path, tmp_path: Path) -> None:
    assert tally("sql", "SELECT 1, 'a'", TALLY_HOME=str(home)).stdout == "1\ta\n"
    (tmp_path / "query.sql").write_text("SELECT 2 AS n")
    asked = tally("sql", "--file", str(tmp_path / "query.sql"), "--format", "CSVWithNames", TALLY_HOME=str(home))
    assert asked.stdout == '"n"\n2\n'
    assert tally("sql", "-", stdin="SELECT 3", TALLY_HOME=str(home)).stdout == "3\n"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("SELECT nothing FROM tally.nowhere", "UNKNOWN_TABLE"),
        ("DROP TABLE tally.entries", "READONLY"),
        ("SELECT throwIf(number = 500000) FROM numbers(1000000) FORMAT JSONEachRow", "throwIf"),
    ],
)
def test_what_the_warehouse_refuses_is_told_in_a_sentence(home: Path, query: str, sentence: str) -> None:
    done = tally("sql", query, TALLY_HOME=str(home))
    assert done.returncode == 2
    assert done.stderr.startswith("the warehouse refused: ") and sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_verify_proves_it_and_importing_again_changes_nothing(home: Path, trace: Path) -> None:
    before = facts(home, "verify")
    assert before["difference"] is None and before["behind"] == 0
    assert before["events"]["counted"] == CALLS
    assert len(set(before["cost"]["USD"].values())) == 1
    again = facts(home, "import", str(trace), "--set", "model=gpt-4o", "--set", "team=search")
    assert (again["counted"], again["duplicate"], again["conflict"]) == (0, CALLS, 0)
    other = facts(home, "import", str(trace), "--set", "model=gpt-4o", "--set", "team=other")
    assert (other["counted"], other["duplicate"], other["conflict"]) == (0, 0, CALLS)
    after = facts(home, "verify")
    assert after["difference"] is None
    assert (after["cost"], after["tokens"]) == (before["cost"], before["tokens"])


def test_budgets_and_prices_are_decisions_on_the_log(home: Path) -> None:
    told = facts(home, "budget", "set", "--scope", "team=search", "--limit", "100", "--window", "1h", "--reason", "x")
    assert (told["dimension"], told["scope"], told["limit"], told["window_s"]) == ("team", "search", "100", 3600)
    where = ["--partition", str(told["partition"]), "--offset", str(told["offset"]), "--limit", "1"]
    done = tally("log", "events", *where, "--json", TALLY_HOME=str(home))
    assert json.loads(done.stdout)["line"]["data"]["control"] == "budget.allocated"
    assert facts(home, "price", "adopt")["new"] is False
    for wrong in (["--scope", "team"], ["--scope", "planet=x"], ["--limit", "much"], ["--window", "soon"]):
        options = {"--scope": "team=a", "--limit": "1", "--window": "1h", "--reason": "x"} | {wrong[0]: wrong[1]}
        done = tally("budget", "set", *(word for pair in options.items() for word in pair), TALLY_HOME=str(home))
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr


def test_wrong_files_and_options_are_told(home: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    for arguments in ([str(tmp_path / "none.csv")], [str(tmp_path / "notes.txt")], ["--set", "model", "x.csv"]):
        done = tally("import", *arguments, TALLY_HOME=str(home))
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr


def test_nothing_runs_afterwards_and_status_says_so(home: Path) -> None:
    said = facts(home, "status")
    assert {part["state"] for part in said["parts"].values()} == {"does not run"}
    assert said["records"]["recorded"] == said["records"]["folded"] > 0
    assert said["records"]["stored"] is None and said["pages"] == {}


@pytest.fixture
def up(home: Path) -> Iterator["subprocess.Popen[str]"]:
    running = start_up(home)
    yield running
    running.terminate()
    running.communicate(timeout=60)


def start_up(home: Path, **environment: str) -> "subprocess.Popen[str]":
    from tests.tally.conftest import COMMAND

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
    home: Path, up: "subprocess.Popen[str]", tmp_path: Path, trace: Path
) -> None:
    said = facts(home, "status")
    running = {name: part for name, part in said["parts"].items() if part["state"] == "runs"}
    assert set(running) == {"warehouse", "streams", "sink", "api", "alerts", "dashboards", "metrics"}
    with urllib.request.urlopen(said["pages"]["overview"], timeout=60) as page:
        assert page.status == 200
    more = facts(home, "import", str(trace), "--set", "model=gpt-4o", "--source", "another")
    assert more["counted"] == CALLS
    count = "SELECT count() FROM analytics.fct_calls"
    eventually(lambda: tally("sql", count, TALLY_HOME=str(home)).stdout == f"{2 * CALLS}\n")
    assert facts(home, "verify")["difference"] is None

    other = tmp_path / "other"
    assert facts(other, "import", str(trace), "--set", "model=gpt-4o")["counted"] == CALLS
    assert tally("sql", count, TALLY_HOME=str(other)).stdout == f"{CALLS}\n"
    again = tally("up", TALLY_HOME=str(home))
    assert again.returncode == 2 and "already runs" in again.stderr
    assert up.poll() is None
    assert {part.get("pid") for part in facts(home, "status")["parts"].values()} == {
        part.get("pid") for part in said["parts"].values()
    }


def test_ctrl_c_ends_the_query_too(home: Path, up: "subprocess.Popen[str]") -> None:
    from tests.tally.conftest import COMMAND

    mine = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT max(number)%'"
    asking = subprocess.Popen(
        [*COMMAND, "sql", "SELECT max(number) FROM system.numbers"], cwd=ROOT,
        env=home_environment({"TALLY_HOME": str(home)}), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    eventually(lambda: tally("sql", mine, TALLY_HOME=str(home)).stdout == "1\n")
    asking.send_signal(signal.SIGINT)
    assert asking.wait(60) == 130
    eventually(lambda: tally("sql", mine, TALLY_HOME=str(home)).stdout == "0\n")


def test_kill_9_of_up_leaves_nothing_running_and_of_a_part_is_mended(home: Path, trace: Path) -> None:
    running = start_up(home)
    pids = [part["pid"] for part in facts(home, "status")["parts"].values() if "pid" in part]
    running.kill()
    running.communicate()
    eventually(lambda: not any(alive(pid) for pid in pids))

    running = start_up(home)
    parts = facts(home, "status")["parts"]
    for name in ("warehouse", "streams", "dashboards"):
        os.kill(parts[name]["pid"], signal.SIGKILL)
    more = facts(home, "import", str(trace), "--set", "model=gpt-4o", "--source", "meanwhile")
    assert more["counted"] == CALLS
    names = [name for name in parts if name != "feed"]
    eventually(lambda: all("pid" in facts(home, "status")["parts"][name] for name in names))
    after = facts(home, "status")["parts"]
    assert after["dashboards"]["url"] == parts["dashboards"]["url"]
    assert facts(home, "verify")["difference"] is None
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "the streams worker ended by SIGKILL" in errors
    assert not any(alive(part["pid"]) for part in after.values() if "pid" in part)


def test_a_taken_port_is_told_in_a_sentence(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = tally("up", TALLY_HOME=str(home), TALLY_DASHBOARDS_PORT=port)
        assert done.returncode == 2 and f"TALLY_DASHBOARDS_PORT {port}" in done.stderr.splitlines()[-1]
        done = tally("sql", "SELECT 1", TALLY_HOME=str(home), TALLY_WAREHOUSE_PORT=port)
        assert done.returncode == 2 and "TALLY_WAREHOUSE_PORT" in done.stderr
        assert len(done.stderr.splitlines()) == 1
