"""The procedures of docs/operations.md, run as they stand, in a home that has something to lose."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ledger.home.ports import find_free_port
from tests.faults.input import history
from tests.kafka.cluster import kafka_jars
from tests.kafka.secured import PASSWORD, USER, secured
from tests.tally.conftest import ROOT, home_environment
from tests.warehouse.conftest import Front

PAGE = ROOT / "docs" / "operations.md"
BLOCK = re.compile(r"^```(\w*)(?: ([^\n]+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
QUICK = {"backup", "erase"}
KAFKA = {"backup-kafka", "grow", "workers", "machines", "stopped", "listeners", "rebuild-kafka"}
TIMEOUT_S = 550
pytestmark = pytest.mark.timeout(600)


class Procedure(NamedTuple):
    name: str
    lines: list[str]


def read_procedures() -> list[Procedure]:
    procedures_by_name: dict[str, Procedure] = {}
    for language, attributes, body in BLOCK.findall(PAGE.read_text()):
        if language != "sh" or attributes.startswith("untested: "):
            continue
        name = re.match(r"procedure=([\w-]+)", attributes)
        assert name, f"a block of commands names no procedure: {body}"
        procedure = procedures_by_name.setdefault(name[1], Procedure(name[1], []))
        procedure.lines.extend(body.splitlines())
    return list(procedures_by_name.values())


def build_script(lines: list[str]) -> str:
    """One shell for a whole procedure, which ends at the first line that exits otherwise than the page says."""
    statements = [
        "set -uo pipefail",
        "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT",
    ]  # else who runs on holds our pipes
    for line in lines:
        command, _, exit_code = line.partition(" # exits ")
        statements.append(command)
        report = f'echo "$ {command.replace(chr(34), chr(39)).replace("$", "")} exited $code" >&2'
        if not command.endswith(" &"):
            statements.append(f"code=$?; [ $code = {exit_code or 0} ] || {{ {report}; exit 99; }}")
    return "\n".join(statements)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home of two days, a backup of the first, and both days' files."""
    folder = tmp_path_factory.mktemp("before")
    monday, _ = history(folder / "history.ndjson", 2)
    lines = monday.read_text().splitlines()
    days = {"monday": lines[:300], "tuesday": lines[300:600]}
    for name, day_lines in days.items():
        (folder / f"{name}.ndjson").write_text("\n".join(_with_person(line) for line in day_lines))
    monday.unlink()
    shell = Shell(folder)
    shell.run("tally import monday.ndjson", "tally log backup backups/monday", "tally import tuesday.ndjson")
    shell.run("tally verify")
    return folder


def _with_person(line: str) -> str:
    """Names a person, whose pseudonym hangs on the home's keys."""
    event = json.loads(line)
    if "inference" in event["type"]:
        event["data"]["user"] = "ann"
    return json.dumps(event)


class Shell:
    """A folder in which commands run as an operator's, with `tally` at hand."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self._bin = folder.parent / f"{folder.name}-bin"
        self._bin.mkdir(exist_ok=True)
        command = self._bin / "tally"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m tally "$@"\n')
        command.chmod(0o755)
        own_environment = home_environment(environment | {"PATH": f"{self._bin}{os.pathsep}{os.environ['PATH']}"})
        self.environment = {
            key: value for key, value in own_environment.items() if key not in ("TALLY_HOME", "TALLY_LOG")
        }

    def run(self, *lines: str, **variables: str) -> str:
        result = subprocess.run(
            ["bash", "-c", build_script(list(lines))], cwd=self.folder, env=self.environment | variables,
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
        return result.stdout

    def tally(self, *arguments: str, **variables: str) -> Any:
        return json.loads(self.run(f"tally {' '.join(arguments)} --json", **variables))


@pytest.fixture
def shell(before: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shell]:
    folder = tmp_path / "there"
    shutil.copytree(before, folder, symlinks=True)  # the warehouse has some
    name = request.getfixturevalue("procedure").name
    environment = {"NAME": str(uuid.uuid4()), "PORT": str(find_free_port())}
    if name == "listeners":
        (tmp_path / "secured").mkdir()
        with secured(tmp_path / "secured", kafka_jars()) as house:
            addresses = {"BROKERS": house.addresses["SASL_TLS"], "CA": str(house.folder / "ca.pem")}
            credentials = {"USER_NAME": USER, "PASSWORD": PASSWORD.replace(" ", "%20")}
            yield Shell(folder, **environment, **addresses, **credentials)
        return
    if name == "rebuild-server":
        server = Front(tmp_path / "server")
        yield Shell(folder, **environment, SERVER=server.url)
        server.kill()
        return
    if name in KAFKA:
        environment["BROKERS"] = request.getfixturevalue("kafka")
    yield Shell(folder, **environment)


def _cut(shell: Shell) -> None:
    """Cut the log as a restore from an older copy does, or a file system that lost its last days."""
    for path in (shell.folder / ".tally" / "log").glob("recorded.db*"):
        path.unlink()
    shutil.copy(shell.folder / "backups" / "monday" / "log" / "recorded.db", shell.folder / ".tally" / "log")


def _other_folds(shell: Shell) -> None:
    with sqlite3.connect(shell.folder / ".tally" / "log" / "derived.db") as db:
        db.execute("PRAGMA user_version = 99")


def _another_log(shell: Shell) -> None:
    """The home goes to a log on Kafka that is no copy of its own: its warehouse holds nothing of that."""
    shutil.rmtree(shell.folder / ".tally" / "warehouse")
    shutil.rmtree(shell.folder / ".tally" / "consumers")


def _on_kafka(shell: Shell) -> None:
    _another_log(shell)
    shell.run("tally import monday.ndjson", TALLY_LOG=_log(shell))


def _two_homes(shell: Shell) -> None:
    """Another home, as on another machine, has a warehouse of the same log."""
    _on_kafka(shell)
    (shell.folder / "second").mkdir()
    shutil.copy(shell.folder / ".tally" / "secrets.json", shell.folder / "second")
    shell.run("tally verify", TALLY_LOG=_log(shell), TALLY_HOME="second")


def _on_a_server(shell: Shell) -> None:
    """Move the content of the home's warehouse to a server, which here is another home's."""
    shell.run("rm -rf .tally/warehouse .tally/consumers", "tally verify", TALLY_WAREHOUSE=shell.environment["SERVER"])


def _recreate_topic(shell: Shell) -> None:
    """The topic of events goes, and one of the same name takes less."""
    from kafka.admin import KafkaAdminClient

    _on_kafka(shell)
    with KafkaAdminClient(bootstrap_servers=shell.environment["BROKERS"]) as admin:
        admin.delete_topics([f"{shell.environment['NAME']}.events"])
    shell.run("until tally topics apply; do sleep 1; done", TALLY_LOG=_log(shell))


def _log(shell: Shell) -> str:
    return f"kafka://{shell.environment['BROKERS']}/{shell.environment['NAME']}"


HARM: dict[str, Callable[[Shell], None]] = {
    "cut": _cut, "cut-warehouse": _cut, "refold": _other_folds, "backup-kafka": _on_kafka,
    "stopped": _recreate_topic, "rebuild-kafka": _two_homes, "rebuild-server": _on_a_server,
    "workers": _another_log, "listeners": _another_log,
}  # fmt: skip
BOTH_DAYS = {
    "restore",
    "cut",
    "upgrade",
    "refold",
    "rebuild",
    "lose-derived",
    "lose-warehouse",
    "lose-secrets",
    "backup",
    "erase",
}
"""After which a home holds both days."""


def mark_procedure(procedure: Procedure) -> Any:
    return pytest.param(procedure, id=procedure.name, marks=() if procedure.name in QUICK else pytest.mark.long)


@pytest.mark.parametrize("procedure", [mark_procedure(procedure) for procedure in read_procedures()])
def test_a_procedure_does_what_the_page_says(procedure: Procedure, shell: Shell, before: Path) -> None:
    if harm := HARM.get(procedure.name):
        harm(shell)
    output = shell.run(*procedure.lines)
    if procedure.name == "stopped":
        assert "no longer holds that record as it was" in output
    elif procedure.name in BOTH_DAYS:
        report, first = _read_report(shell.folder), _read_report(before)
        assert report["difference"] is None and report["behind"] == 0
        assert report["events"]["counted"] == first["events"]["counted"] > 500
        if procedure.name not in QUICK:
            counts = shell.tally("import", "monday.ndjson", "tuesday.ndjson")
            conflicts = first["events"]["conflict"]
            assert (counts["counted"], counts["conflict"]) == (0, conflicts), "all is there, under the same pseudonyms"
    elif procedure.name == "machines":
        counts = shell.tally("import", "monday.ndjson", TALLY_LOG=_log(shell), TALLY_HOME="second")
        assert (counts["counted"], counts["conflict"]) == (0, 0)


def _read_report(folder: Path) -> Any:
    """Return the last report of verify in this folder's home."""
    return json.loads((folder / ".tally" / "consumers" / "verify.json").read_text())


def test_every_procedure_that_the_tests_treat_apart_is_there() -> None:
    names = {procedure.name for procedure in read_procedures()}
    assert names >= QUICK | KAFKA | HARM.keys() | BOTH_DAYS


def test_the_words_of_a_failure_are_those_of_the_product() -> None:
    code = " ".join(
        re.sub(r'"\s*\n\s*f?"', "", path.read_text())
        for folder in ("ledger", "streams", "warehouse", "audit", "tally")
        for path in sorted((ROOT / folder).rglob("*.py"))
    )
    table = PAGE.read_text().split("| it says |")[1].split("\n\n")[0]
    messages = re.findall(r"^\| `([^`|]+)` \|", table, re.MULTILINE)
    assert len(messages) >= 7
    assert [message for message in messages if message not in code] == []


def test_links_within_the_page_lead_somewhere() -> None:
    text = PAGE.read_text()
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines()
                if line.startswith("#")}  # fmt: skip
    assert [link for link in re.findall(r"\]\(#([\w-]+)\)", text) if link not in headings] == []
