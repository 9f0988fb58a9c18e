"""The command: its help teaches, its errors are sentences, and how it ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tally.cli.app import app
from tests.tally.conftest import COMMAND, ROOT, home_environment, tally

COMMANDS = [
    "up", "demo", "demo feed", "import", "status", "sql", "verify", "log topics", "log positions", "log events",
    "warehouse serve", "warehouse sink", "warehouse models", "streams worker", "dashboards serve", "metrics serve",
    "subject list", "subject erase",
    "tail", "alerts webhook", "alerts webhooks", "alerts remove", "alerts test", "alerts deliveries", "alerts deliver",
    "alerts list", "alerts show", "alerts ack", "alerts resolve", "alerts label", "alerts silence", "alerts route add",
    "alerts route list", "alerts route remove",
    "api serve", "token create", "token list", "token revoke",
    "budget set", "price adopt", "contract sign", "contract list", "contract end",
    "budget set", "price adopt", "model alias", "model list", "model remove",
    "runaways rules", "runaways adopt", "runaways replay",
]  # fmt: skip
REPORTING = [
    "subject list",
    "subject erase",
    "tail",
    "alerts webhook",
    "alerts webhooks",
    "alerts remove",
    "alerts test",
    "alerts deliveries",
    "alerts list",
    "alerts show",
    "alerts ack",
    "alerts resolve",
    "alerts label",
    "alerts silence",
    "alerts route add",
    "alerts route list",
    "alerts route remove",
    "import",
    "status",
    "sql",
    "verify",
    "log topics",
    "log positions",
    "log events",
    "budget set",
    "price adopt",
    "contract sign",
    "contract list",
    "contract end",
    "model alias",
    "model list",
    "model remove",
    "token create",
    "token list",
    "token revoke",
    "runaways rules",
    "runaways adopt",
    "runaways replay",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    assert "Example: " in result.stdout and "Exit codes: 0" in result.stdout
    assert ("--json" in result.stdout) == (command in REPORTING)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, tally.main; sys.argv[1:] = ['--help']\n"
        "try: tally.main.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'chdb', 'dbt', 'streamlit', 'clickhouse_connect', 'genai_prices', 'sqlite3',"
        " 'prometheus_client'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], env=home_environment({}), capture_output=True, text=True, check=True
    )
    assert process.stdout.splitlines()[-1] == "heavy: []"


def test_without_arguments_the_help_is_shown() -> None:
    assert "Usage: tally" in tally().stdout + tally().stderr


def test_a_wrong_command_or_option_exits_2(tmp_path: Path) -> None:
    assert tally("statsu").returncode == 2
    assert "status" in tally("statsu").stderr
    assert tally("status", "--yaml", TALLY_HOME=str(tmp_path)).returncode == 2


def test_a_setting_without_sense_is_named(tmp_path: Path) -> None:
    command = tally("status", TALLY_HOME=str(tmp_path), TALLY_DASHBOARDS_PORT="many")
    assert command.returncode == 2
    assert command.stderr.startswith("the setting TALLY_DASHBOARDS_PORT is 'many'")
    assert len(command.stderr.splitlines()) == 1


def test_a_home_that_is_a_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = tally("streams", "worker", TALLY_HOME=str(tmp_path / "file"))
    assert command.returncode == 2
    assert "TALLY_HOME" in command.stderr and len(command.stderr.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT TESTED: this system has no /dev/full")
def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full_device:
        process = subprocess.run(
            [*COMMAND, "log", "topics"], cwd=ROOT, timeout=60, check=False, text=True,
            env=home_environment({"TALLY_HOME": str(_with_log(tmp_path))}), stdout=full_device, stderr=subprocess.PIPE,
        )  # fmt: skip
    assert process.returncode == 2
    assert "the disk is full" in process.stderr and "Traceback" not in process.stderr


def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path) -> None:
    home = _with_log(tmp_path)
    running = subprocess.Popen(
        [*COMMAND, "log", "events", "--topic", "documents", "--json"],
        cwd=ROOT, env=home_environment({"TALLY_HOME": str(home)}), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdout and running.stderr
    running.stdout.close()
    assert running.wait(30) == 0
    assert running.stderr.read() == b""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_leave_no_traceback(tmp_path: Path, number: signal.Signals, code: int) -> None:
    running = subprocess.Popen(
        [*COMMAND, "log", "events", "--topic", "documents", "--follow"],
        cwd=ROOT, env=home_environment({"TALLY_HOME": str(_with_log(tmp_path))}), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout and running.stdout.readline()
    time.sleep(0.2)
    running.send_signal(number)
    _, errors = running.communicate(timeout=60)
    assert (running.returncode, errors.strip()) == (code, "")


def _with_log(tmp_path: Path) -> Path:
    from ledger.log import Draft
    from ledger.log.sqlite.log import EmbeddedLog
    from ledger.log.topics import DOCUMENTS

    log = EmbeddedLog(tmp_path / "home")
    log.append(DOCUMENTS, [Draft(0, "some", {}, b"x")] * 3)
    log.close()
    return tmp_path / "home"
