"""``tally rebuild``: a new generation beside the running one, killed at each of its points, and what it tells.

On Kafka the points of the switch are in ``tests/kafka/test_switch.py``, without the parts."""

import json
import shutil
import signal
import sqlite3
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from ledger.home.presence import find_any_presence
from ledger.log.sqlite import tables
from ledger.log.topics import ENTRIES
from streams.folds.version import VERSION
from tally.processes.service import list_pipeline_services
from tests.faults.house import House
from tests.faults.input import history, trace
from tests.faults.proof import find_difference, read_derived_topics, refold_log
from tests.tally.conftest import COMMAND, ROOT, eventually, home_environment

BUDGET = ("--scope", "team=engineering", "--window", "1h", "--reason", "a test", "--limit")
FIGURES = ("events", "tokens", "cost", "list_cost", "quantities", "difference", "behind")
LINES = 2_000
Run = Callable[..., "subprocess.Popen[str]"]
BOTH = pytest.mark.parametrize("house", ["embedded", "kafka"], indirect=True)
EACH = pytest.mark.parametrize("house", ["embedded", "kafka", "server"], indirect=True)


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    """A home with something of everything in it, of which nothing runs. Where a test says so its log is on Kafka, or
    its warehouse on a server: that is another home's, which is reached as a server is."""
    where = getattr(request, "param", "embedded")
    log = f"kafka://{request.getfixturevalue('kafka')}/{uuid.uuid4()}" if where == "kafka" else None
    server = House(tmp_path / "server")
    url = None
    if where == "server":
        server.start("warehouse")
        facts = find_any_presence(server.settings, "warehouse") or {}
        url = f"http://{facts['user']}:{facts['password']}@127.0.0.1:{facts['port']}"
    made = House(tmp_path / "home", log=log, warehouse=url)
    made.ask("budget", "set", *BUDGET, "1")
    made.ask("import", str(history(tmp_path / "calls.ndjson", 1)[0]))
    made.ask("import", str(trace(tmp_path / "trace.csv", LINES)), "--set", "model=gpt-4o")
    yield made
    made.kill()
    server.kill()


@pytest.fixture
def run(house: House) -> Iterator[Run]:
    """Starts a command in the house; a fault says where it dies."""
    started: list[subprocess.Popen[str]] = []

    def command(*arguments: str, fault: str = "") -> "subprocess.Popen[str]":
        environment = {
            "TALLY_HOME": str(house.settings.home),
            "TALLY_LOG": house.settings.log or "",
            "TALLY_WAREHOUSE": house.settings.warehouse or "",
            "TALLY_FAULT": fault,
        }
        with (house.settings.home.parent / f"{arguments[0]}.said").open("a") as said:
            started.append(
                subprocess.Popen(
                    [*COMMAND, *arguments], cwd=ROOT, env=home_environment(environment), text=True,
                    stdout=subprocess.PIPE, stderr=said,
                )
            )  # fmt: skip
        return started[-1]

    yield command
    for process in started:
        process.kill()
        process.communicate()


def told(process: "subprocess.Popen[str]") -> Any:
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    return json.loads(output)


def altered(house: House) -> str:
    """Make a call of the home's cost more, by hand and nowhere but on the topic; its cause."""
    with closing(sqlite3.connect(house.settings.home / "log" / "derived.db")) as db:
        partition = next(one for one in range(16) if tables.find_last(db, ENTRIES, one)[0] > 0)
        record = next(
            one for one in tables.select_records(db, ENTRIES, partition, 0, 1 << 30) if b'"counted"' in one.value
        )
        db.execute("DELETE FROM tally_entries WHERE id = ?", (partition << tables.PARTITION_SHIFT | record.offset,))
        tables.insert_record(db, ENTRIES, record._replace(value=record.value.replace(b'"counted"', b'"conflict"', 1)))
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
        db.commit()
    return f"{record.partition}:{record.headers['cause_offset']}"


def same(house: House, before: dict[str, Any]) -> None:
    """The home proves itself, with these figures, and what it derived is an undisturbed refold of its log."""
    after = house.ask("verify")
    assert {name: after[name] for name in FIGURES} == {name: before[name] for name in FIGURES}
    assert find_difference(read_derived_topics(house.settings), refold_log(house.settings)) is None


@pytest.mark.timeout(900)
def test_what_was_altered_or_is_of_other_folds_is_healed_and_told(house: House, run: Run) -> None:
    before = house.ask("verify")
    cause = altered(house)
    refused = run("verify")
    assert refused.wait(120) == 2
    assert "tally rebuild" in (house.settings.home.parent / "verify.said").read_text()
    facts = told(run("rebuild", "--json"))
    assert (facts["generation"], facts["switched"], facts["verified"]["difference"]) == (2, True, None)
    assert facts["events"] == before["events"]["received"] and facts["records"] > 0
    found = facts["differences"]
    assert (found["differing"], found["unreadable"]) == (1, None) and found["compared"] > 1
    assert found["first"].startswith(f"the record that tally.entries derives from {cause} was ")
    same(house, before)
    kept = Path(facts["old"])
    assert (kept / "log" / "derived.db").exists() and (kept / "warehouse").is_dir()
    assert not (house.settings.home / "rebuild").exists()


@EACH
@pytest.mark.long
@pytest.mark.timeout(900)
def test_beside_the_running_product_while_an_import_goes_on(house: House, run: Run, tmp_path: Path) -> None:
    before = house.ask("verify")
    up = run("up")
    eventually(lambda: find_any_presence(house.settings, "metrics") is not None, 300)
    (dashboards,) = [one["pid"] for one in [find_any_presence(house.settings, "dashboards") or {}]]
    rebuilding = run("rebuild", "--json")
    imported = house.bring(trace(tmp_path / "more.csv", 60_000), "--set", "model=gpt-4o", "--source", "more")
    facts = told(rebuilding)
    assert facts["switched"] and facts["differences"]["differing"] == 0 and facts["old"] is None
    eventually(
        lambda: all(find_any_presence(house.settings, part.name) for part in list_pipeline_services(house.settings)),
        300,
    )
    assert up.poll() is None and (find_any_presence(house.settings, "dashboards") or {})["pid"] == dashboards
    up.send_signal(signal.SIGINT)
    assert up.wait(300) == 0
    after = house.ask("verify")
    assert after["difference"] is None
    assert after["events"]["counted"] == before["events"]["counted"] + imported["counted"]
    assert imported["counted"] == 60_000
    assert find_difference(read_derived_topics(house.settings), refold_log(house.settings)) is None


@EACH
@pytest.mark.long
@pytest.mark.timeout(900)
def test_parts_that_were_started_by_hand_are_waited_for(house: House, run: Run) -> None:
    before = house.ask("verify")
    house.start()
    rebuilding = run("rebuild", "--json")
    said = house.settings.home.parent / "rebuild.said"
    eventually(lambda: "started by hand: stop it" in said.read_text(), 600)
    house.stop()
    assert told(rebuilding)["switched"]
    house.start()
    house.settle()
    house.stop()
    same(house, before)


POINTS = (
    "rebuild.built:1", "rebuild.verified:1", "switch.asked:1", "switch.recorded:1", "switch.named:1", "switch.begun:1",
    "switch.moving:1", "switch.moved:1", "switch.moving:2", "switch.moved:2", "switch.ending:1",
)  # fmt: skip
ON_KAFKA = ("rebuild.built:1", "switch.named:1", "switch.moving:2")
ON_SERVER = ("rebuild.built:1", "switch.asked:1", "switch.named:1", "switch.moving:1")
EXCHANGE = ("exchange.marked:1", "exchange.done:1", "exchange.marked:7", "exchange.done:7")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("house", "fault"),
    [
        *(("embedded", point) for point in POINTS),
        *(("kafka", point) for point in ON_KAFKA),
        *(("server", point) for point in ON_SERVER),
    ],
    indirect=["house"],
)
def test_a_kill_at_a_named_point(house: House, run: Run, fault: str) -> None:
    before = house.ask("verify")
    assert run("rebuild", "--json", fault=fault).wait(600) == -signal.SIGKILL
    same(house, before)
    facts = told(run("rebuild", "--json"))
    assert facts["switched"] and facts["differences"]["differing"] == 0
    same(house, before)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("house", ["server"], indirect=True)
@pytest.mark.parametrize("fault", ["exchange.done:3", *(pytest.param(one, marks=pytest.mark.long) for one in EXCHANGE)])
def test_a_servers_tables_are_exchanged_by_a_sink_that_is_killed(house: House, run: Run, fault: str) -> None:
    before = house.ask("verify")
    assert told(run("rebuild", "--json"))["switched"]
    dying = run("warehouse", "sink", fault=fault)
    assert dying.wait(120) == -signal.SIGKILL
    same(house, before)
    assert house.client().command("SELECT number FROM tally.generations") == 2
    assert house.client().command("SELECT count() FROM tally_beside.records") != 0, "the one before stands beside"


@BOTH
@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_product_dies_while_it_switches(house: House, run: Run) -> None:
    before = house.ask("verify")
    up = run("up", fault="switch.moving:2")
    eventually(lambda: find_any_presence(house.settings, "metrics") is not None, 300)
    assert told(run("rebuild", "--json"))["switched"]
    assert up.wait(60) == -signal.SIGKILL
    same(house, before)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("house", ["kafka"], indirect=True)
def test_another_home_of_the_log_ends_and_fills_its_warehouse_anew(house: House, run: Run, tmp_path: Path) -> None:
    before = house.ask("verify")
    other = House(tmp_path / "other" / "home", log=house.settings.log)
    other.settings.home.mkdir(parents=True)
    shutil.copy(house.settings.home / "secrets.json", other.settings.home)
    with ExitStack() as end:
        end.callback(other.kill)
        up = other.another("up")
        eventually(lambda: find_any_presence(other.settings, "metrics") is not None, 300)
        other.settle()
        assert told(run("rebuild", "--workers", "2", "--json"))["switched"]
        assert up.wait(120) == 2
    said = other.output_of("another")
    assert "generation 1 of what is derived is over, as 2 is current: start again" in said
    assert (
        "the warehouse was filled from generation 1 of" in said
        and "generation 2 is current: empty the warehouse" in said
    )
    for name in ("warehouse", "consumers"):
        shutil.rmtree(other.settings.home / name)
    same(other, before)
    same(house, before)
