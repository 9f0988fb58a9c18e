"""``tally tail``: the live stream, on either log."""

import json
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from ingest.controls.budgets import set_budget
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import open_intake
from ledger.log.open import open_log
from ledger.settings import Settings
from tally.session import opened
from tests.faults.house import House
from tests.ingest.api.conftest import call
from tests.tally.conftest import COMMAND, ROOT, eventually, home_environment, invoke

LOOP = {"tool": "grep", "tool_arguments_hash": "a", "tool_result_hash": "r", "agent": "crawler", "session": "s-1"}


@pytest.fixture
def house(either: str | None, tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "home", log=either)
    with opened(house.settings, new=True):
        pass
    house.start("streams")
    yield house
    house.kill()


def send_calls(settings: Settings, organization: str, *fields: dict[str, str]) -> None:
    log = open_log(settings)
    intake = open_intake(settings.home, organization)
    batch = Batch(log, Envelope(organization, "test", "test"), intake.key)
    for field in fields:
        batch.add(intake.accept_event(call(uuid.uuid4().hex, **field)).line)
    batch.append()
    log.close()


def environment(house: House) -> dict[str, str]:
    return {"TALLY_HOME": str(house.settings.home), "TALLY_LOG": house.settings.log or ""}


def run_tail(house: House, *arguments: str) -> list[str]:
    command = invoke("tail", "--no-follow", *arguments, **environment(house))
    assert command.returncode == 0, command.stderr
    return command.stdout.splitlines()


def test_what_happened_is_shown_filtered_and_followed(house: House) -> None:
    with closing(open_log(house.settings)) as log:
        set_budget(log, house.settings, "acme", "team", "search", Decimal("0.0001"), "USD", 3600, "a test")
    send_calls(house.settings, "acme", *({"team": "search", **LOOP} for _ in range(4)))
    send_calls(house.settings, "beta", {"team": "other", "feature": "evil\x1b[2J\u202e name"})
    eventually(house.folded)
    lines = run_tail(house)
    assert sum("counted  inference  gpt-4o  input 10  0.000025 USD" in line for line in lines) == 5
    crossed = "BUDGET 50 % crossed in the past: team search used"
    assert any(crossed in line and "of 0.0001 USD" in line for line in lines)
    runaway = "RUNAWAY raised: grep 4 equal calls, spent 0.0001 USD  team=search  agent=crawler  session=s-1"
    assert any(runaway in line for line in lines)
    assert any("feature=evil·[2J· name" in line for line in lines)
    assert not any("\x1b" in line for line in lines)
    assert len(run_tail(house, "-n", "2")) == 2 and run_tail(house, "-n", "0") == []
    assert all("beta" in line for line in run_tail(house, "--organization", "beta"))
    (alert,) = run_tail(house, "--only", "alerts", "--json")
    assert json.loads(alert)["stream"] == "alerts" and json.loads(alert)["agent"] == "crawler"
    assert len(run_tail(house, "--only", "events", "--where", "team=search")) == 4
    assert run_tail(house, "--where", "team=nobody") == []
    follow_on(house)


def follow_on(house: House) -> None:
    path = house.settings.home / "tail.out"
    with path.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "tail", "-n", "0", "--only", "events"], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
            env=home_environment(environment(house) | {"PYTHONUNBUFFERED": "1"}),
        )  # fmt: skip
    try:
        for number in range(400):
            send_calls(house.settings, "acme", {"feature": f"live-{number}"})
            try:
                eventually(lambda: b"live-" in path.read_bytes(), 0.5)
                break
            except AssertionError:
                assert process.poll() is None, path.read_text()
        send_calls(house.settings, "acme", {"feature": "the-last"})
        eventually(lambda: b"the-last" in path.read_bytes())
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
    assert b"Traceback" not in path.read_bytes()


@pytest.mark.parametrize("command", [["tail"], ["log", "events", "--follow"]])
def test_a_reader_that_leaves_ends_it(house: House, command: list[str]) -> None:
    """Also where no line comes that could not be written."""
    send_calls(house.settings, "acme", *({} for _ in range(5)))
    eventually(house.folded)
    with subprocess.Popen(
        [*COMMAND, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=home_environment(environment(house)),
    ) as process:  # fmt: skip
        assert process.stdout and process.stderr
        for _ in range(5):
            assert process.stdout.readline()
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (0, "")
