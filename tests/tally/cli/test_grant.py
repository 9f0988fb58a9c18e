"""``tally grant``: what each command does, says, and exits with."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.tally.conftest import invoke


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"TALLY_HOME": str(tmp_path / "home"), "TALLY_ORGANIZATION": "acme", "COLUMNS": "200"}


def test_grants_are_given_changed_shown_and_revoked(home: dict[str, str]) -> None:
    def grant(*arguments: str) -> "CompletedProcess[str]":
        return invoke("grant", *arguments, **home)

    limits = ("--limit", "billed:100USD/1h", "--limit", "calls:1000/day@Europe/Berlin", "--limit", "tokens:5M/total")
    created = grant("create", "search", "--scope", "team=search", *limits, "--models", "gpt-5,gpt-5-mini",
                    "--at-limit", "throttle", "--delegable", "--reason", "launch")  # fmt: skip
    assert created.returncode == 0, created.stderr
    assert created.stdout.splitlines()[:5] == [
        "Created grant search in organization acme.",
        "  principal   team search",
        "  allows      models gpt-5, gpt-5-mini",
        "  limit       billed:100USD/1h, then throttle; tells 50, 80, 100 %",
        "  limit       calls:1000/day@Europe/Berlin, then throttle; tells 50, 80, 100 %",
    ]
    again = grant("create", "search", "--scope", "team=search", "--json")
    facts = json.loads(again.stdout)
    assert again.returncode == 1 and facts["applied"] is False and "a name is given once" in facts["reason"]
    assert "grant 'search' of acme was not created" in again.stderr and "tally grant narrow" in again.stderr

    run = grant(
        "delegate", "run", "--parent", "search", "--scope", "user=ann@example.com", "--limit", "tokens:6M/total"
    )
    assert run.returncode == 1 and "above that of 'search'" in run.stderr
    run = grant(
        "delegate", "run", "--parent", "search", "--scope", "user=ann@example.com", "--limit", "tokens:1M/total"
    )
    assert run.returncode == 0 and "ann" not in run.stdout

    narrowed = grant("narrow", "search", "--limit", "billed:20USD/1h", "--json")
    assert narrowed.returncode == 0 and json.loads(narrowed.stdout)["body"]["limits"][0]["at_limit"] == "throttle"
    assert grant("narrow", "search", "--limit", "billed:30USD/1h").returncode == 1
    assert grant("extend", "search", "--limit", "billed:30USD/1h", "--thresholds", "90").returncode == 0

    tree = grant("tree").stdout
    assert "search  team search: billed:30USD/1h (30 left), calls:1000/day@Europe/Berlin (1,000 left)" in tree
    assert "\n  run  user " in tree and "ann" not in tree
    facts = json.loads(grant("list", "--scope", "user=ann@example.com", "--json").stdout)
    assert [(found["grant"], found["parent"]) for found in facts["grants"]] == [("run", "search")]
    assert facts["grants"][0]["limits"][0]["left"] == 1_000_000 and facts["as_of"]
    shown = grant("show", "run").stdout
    assert "within      search" in shown and "tokens:5M/total" in shown and "throttle" in shown

    foreign = ("create", "abroad", "--scope", "team=abroad", "--limit", "billed:5CHF/day")
    assert "no price and no contract in force is in CHF" in grant(*foreign).stderr

    assert grant("revoke", "search", "--reason", "over").returncode == 0
    assert "[revoked with search]" in grant("tree").stdout
    assert "a revoked grant stays so" in grant("extend", "search", "--resume").stderr


def test_no_grants_say_how_to_create_one(home: dict[str, str]) -> None:
    assert invoke("budget", "set", "--scope", "team=a", "--limit", "1", "--window", "1h", "--reason", "r", **home
                  ).returncode == 0  # fmt: skip
    for command in ("list", "tree"):
        assert "tally grant create" in invoke("grant", command, **home).stdout
    assert json.loads(invoke("grant", "list", "--json", **home).stdout)["grants"] == []
    unknown = invoke("grant", "show", "search", **home)
    assert unknown.returncode == 2 and "'search'" in unknown.stderr and "there are: none" in unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "a b", "--scope", "team=search"), ("grant.created", "body.grant")),
        (("create", "a", "--scope", "squad=search"), ("'squad'", "team")),
        (("create", "a", "--scope", "team"), ("'team'", "team=search")),
        (("create", "a", "--scope", "organization=other"), ("scope", "'acme'")),
        (("create", "a", "--scope", "team=b", "--limit", "calls:1/1h", "--limit", "calls:2/1h"), ("same meter",)),
        (("create", "a", "--scope", "team=b", "--expires", "soon"), ("--expires", "'soon'")),
        (("narrow", "a"), ("nothing is changed of grant 'a'", "--limit")),
        (("narrow", "a", "--not-delegable", "--until", "2100-01-01"), ("until",)),
        (("extend", "a", "--reason", "r"), ("nothing is changed of grant 'a'",)),
    ],
)
def test_a_command_that_cannot_be_says_why(
    arguments: tuple[str, ...], words: tuple[str, ...], home: dict[str, str]
) -> None:
    command = invoke("grant", *arguments, **home)
    assert command.returncode == 2 and [word for word in words if word not in command.stderr] == [], command.stderr
