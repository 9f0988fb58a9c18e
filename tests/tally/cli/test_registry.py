"""``tally plan`` and ``tally apply``: what a file declares, once."""

import json
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ledger.log import partition_of, records
from ledger.log.open import open_log
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.runtime import read_catalogues
from tally.cli.app import app
from tally.product import catch_up
from tally.product.registry import answers
from tests.tally.conftest import invoke
from warehouse import client

FILE = """
teams:
  product: {owner: bob, cost_center: CC-1}
  search: {parent: product, owner: ann@example.com, from: 2026-10-01}
keys: {sk-proj-abcdefghijABCDEFGHIJ0123456789: search}
agents: {triage: {team: product, until: 2030-01-01}}
"""


def write(path: Path, text: str = FILE) -> str:
    (path / "r.yaml").write_text(text)
    return str(path / "r.yaml")


def run(path: Path, *arguments: str) -> Any:
    done = invoke(*arguments, TALLY_HOME=str(path / "home"))
    return done.returncode, done.stdout, done.stderr


def fold(path: Path) -> None:
    number = partition_of("default")
    home = path / "home"
    with closing(open_log(Settings(home=home))) as log, closing(Store(home)) as store:
        assert isinstance(log, EmbeddedLog)
        partition = Partition(number, log, store, read_catalogues(log))
        while partition.step():
            pass


def read_controls(path: Path) -> list[dict[str, Any]]:
    with closing(open_log(Settings(home=path / "home"))) as log:
        found = records(log, EVENTS, partition_of("default"))
        lines = [json.loads(line) for record in found for line in record.value.split(b"\n")]
    return [line["data"] for line in lines if line["data"]["control"].startswith(("scope", "agreement", "exchange"))]


def test_a_plan_is_applied_once(tmp_path: Path) -> None:
    file = write(tmp_path)
    code, planned, _ = run(tmp_path, "plan", file)
    assert code == 2 and "4 to add, 0 to change, 1 to end." in planned
    assert "+ team search: parent product, owner ann@example.com, from 2026-10-01" in planned
    assert not (tmp_path / "home").exists(), "a plan writes nothing"
    code, applied, _ = run(tmp_path, "apply", file, "--reason", "launch")
    assert code == 0 and "4 added, 0 changed, 1 ended." in applied
    appended = read_controls(tmp_path)
    assert [data["control"] for data in appended] == ["scope.declared"] * 2 + ["scope.assigned"] * 3
    assert {data["reason"] for data in appended} == {"launch"}
    assert "ann@" not in json.dumps(appended) and "sk-proj" not in json.dumps(appended)
    assert run(tmp_path, "plan", file)[:2] == (0, "No changes: the registry is what the file declares.\n")
    assert json.loads(run(tmp_path, "apply", file, "--json")[1])["positions"] == []
    assert read_controls(tmp_path) == appended


def test_what_changes_and_what_is_taken_out_is_shown(tmp_path: Path) -> None:
    run(tmp_path, "apply", write(tmp_path))
    text = FILE.replace("owner: bob, ", "").replace("search: {", "search: {head_count: 3, ").partition("keys:")[0]
    code, planned, _ = run(tmp_path, "plan", write(tmp_path, text))
    assert code == 2
    assert planned.splitlines() == [
        "~ team product: owner bob -> none, from now",
        "~ team search: head_count none -> 3, from 2026-10-01",
        "- key fp_62bdd593592a3b9c91250d6b ends, from now (team search)",
        "- agent triage ends, from now (team product)",
        "0 to add, 2 to change, 2 to end.",
    ]
    facts = json.loads(run(tmp_path, "apply", write(tmp_path, text), "--json")[1])
    assert facts["summary"] == {"add": 0, "change": 2, "end": 2} and len(facts["positions"]) == 4
    change = facts["changes"][0]
    assert change["kind"] == "team" and change["after"] == {"cost_center": "CC-1"}
    assert change["before"]["owner"].startswith("p_"), "programs get what the log has"
    assert run(tmp_path, "plan", write(tmp_path, text))[0] == 0


def test_the_folds_and_the_log_say_the_same(tmp_path: Path) -> None:
    """What the folds passed on, and what stands behind that, make one registry."""
    run(tmp_path, "apply", write(tmp_path))
    fold(tmp_path)
    assert run(tmp_path, "plan", write(tmp_path))[0] == 0
    shorter = FILE.replace("agents", "services")
    assert run(tmp_path, "apply", write(tmp_path, shorter))[0] == 0
    assert run(tmp_path, "plan", write(tmp_path, shorter))[0] == 0


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_an_error_ends_with_its_code_and_appends_nothing(command: str, tmp_path: Path) -> None:
    code, _, message = run(tmp_path, command, write(tmp_path, "teams:\n  a: {parent: b}"))
    assert code == (1 if command == "plan" else 2)
    assert message.startswith(f"{tmp_path}/r.yaml:2: teams.a: its parent is 'b', and no team of that name is declared")
    code, _, message = run(tmp_path, command, str(tmp_path / "none.yaml"))
    assert code == (1 if command == "plan" else 2) and "none.yaml: No such file or directory" in message
    if (tmp_path / "home").exists():
        assert read_controls(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ([], ("Nothing is declared then", "No spend of 2026-10: no call of that month counts.")),
        (
            ["--known", "2026-01-01"],
            ("Nothing was declared as it was known then", "No spend of 2026-10 was known then"),
        ),
    ],
)
def test_an_answer_without_spend_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], lines: tuple[str, str]
) -> None:
    monkeypatch.setattr(catch_up, "warehouse_with_models", lambda config: nullcontext())
    monkeypatch.setattr(client, "connect", lambda config: None)
    monkeypatch.setattr(answers, "read_as_of", lambda *arguments: {"scopes": []})
    monkeypatch.setattr(answers, "read_spend", lambda *arguments: [])
    monkeypatch.setenv("TALLY_HOME", str(tmp_path / "home"))
    result = CliRunner().invoke(app, ["as-of", "2026-10-01", *options])
    assert result.exit_code == 0 and all(line in result.output for line in lines), result.output


GRANTS = """
grants:
  product: {scope: organization=default, limits: [calls:100/total], models: [a, b]}
  search: {parent: product, scope: user=ann@example.com, limits: [calls:10/total], reason: launch}
"""


def test_grants_are_planned_applied_and_revoked(tmp_path: Path) -> None:
    file = write(tmp_path, GRANTS)
    code, planned, _ = run(tmp_path, "plan", file)
    assert code == 2 and "+ grant search: user ann@example.com, within product, calls:10/total then deny" in planned
    assert "Grants: 2 to create" in planned and "registry" not in planned
    assert not (tmp_path / "home").exists(), "a plan writes nothing"
    code, applied, _ = run(tmp_path, "apply", file, "--reason", "first", "--actor", "cfo@example.com")
    assert code == 0 and "Grants: 2 created, 0 narrowed, 0 extended, 0 revoked." in applied
    assert run(tmp_path, "plan", file)[:2] == (0, "No changes: the grants are what the file declares.\n")
    shown = run(tmp_path, "grant", "show", "search")[1]
    assert "by cfo@example.com: launch" in shown
    history = json.loads(run(tmp_path, "grant", "show", "search", "--json")[1])["history"]
    assert [(record["action"], record["source"], record["reason"]) for record in history] == [
        ("created", "tally-apply", "launch")
    ]
    assert history[0]["actor"].startswith("p_")

    wider = GRANTS.replace("calls:10/", "calls:1000/").replace("models: [a, b]", "models: [b, c]")
    code, planned, _ = run(tmp_path, "plan", write(tmp_path, wider))
    assert code == 2 and "would have no effect: calls//total: the limit is above that of 'product'" in planned
    assert "1 to narrow, 1 to extend, 0 to revoke; 1 without effect." in planned
    code, applied, problem = run(tmp_path, "apply", file, "--reason", "second")
    assert code == 1 and "has no effect" in applied and "Way out: give less" in applied
    assert "of these grants: search. `tally plan" in problem
    facts = json.loads(run(tmp_path, "plan", file, "--json")[1])
    assert [(record["change"], record["effective"]) for record in facts["grants"]] == [("extend", False)]

    code, applied, _ = run(tmp_path, "apply", write(tmp_path, "grants: {}"), "--json")
    assert code == 0 and json.loads(applied)["grants"][0]["below"] == ["search"]
    code, _, problem = run(tmp_path, "plan", write(tmp_path, GRANTS))
    assert code == 1 and "r.yaml:3: grants.product: was revoked" in problem and "product-2" in problem
