"""``tally alerts``: what is active, whose it is, what people do about it, and where it is sent."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest.controls.registry.records import apply_file
from ledger.log.open import open_log
from ledger.settings import Settings
from tests.alerting.conftest import Receiver, Telling
from tests.tally.conftest import eventually, invoke

REGISTRY = """
teams:
  product: {owner: bob@example.com}
  search: {parent: product, on_call: ann@example.com, from: 2026-01-01}
agents: {crawler: {team: search, from: 2026-01-01}}
"""


class Commands:
    """Commands of a home in which an agent runs away."""

    def __init__(self, telling: Telling) -> None:
        self.telling = telling
        self.environment = {"TALLY_HOME": str(telling.settings.home), "TALLY_ORGANIZATION": "acme", "COLUMNS": "220"}

    def run(self, *arguments: str) -> Any:
        return invoke("alerts", *arguments, **self.environment)

    def read(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def run_away(self) -> str:
        """Have an agent run away, and return its alert."""
        self.telling.start("streams")
        self.telling.loops("s-1")
        eventually(lambda: self.read("list") != [])
        (alert,) = self.read("list")
        return str(alert["alert"])


@pytest.fixture
def commands(embedded: Telling) -> Commands:
    return Commands(embedded)


def test_where_nothing_is_active_a_sentence_says_so(commands: Commands) -> None:
    assert commands.run("list").stdout == "No alert is active; --all shows those that are over.\n"
    assert (
        commands.run("list", "--org", "acme").stdout == "No alert of acme is active; --all shows those that are over.\n"
    )
    assert commands.run("list", "--all").stdout == "No alert was raised.\n"
    assert "There are no routes: add one with `tally alerts route add`" in commands.run("route", "list").stdout
    assert commands.run("route", "list", "--org", "acme").stdout.startswith("acme has no routes: ")


def test_an_alert_is_shown_with_its_people(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(REGISTRY)
    settings: Settings = commands.telling.settings
    with closing(open_log(settings)) as log:
        apply_file(log, settings, tmp_path / "r.yaml", "acme", None)
    alert = commands.run_away()
    (listed,) = commands.read("list")
    people = {name: listed[name] for name in ("state", "team", "owner", "on_call", "agent", "session")}
    assert people == {
        "state": "raised", "team": "search", "owner": "bob@example.com", "on_call": "ann@example.com",
        "agent": "crawler", "session": "s-1",
    }  # fmt: skip
    shown = commands.run("show", alert).stdout
    assert "crawler called grep 4 times" in shown and "on call       ann@example.com" in shown
    assert commands.run("list", "--org", "beta").stdout.startswith("No alert of beta is active")


def test_people_handle_an_alert_once(commands: Commands) -> None:
    alert = commands.run_away()
    done = commands.run("ack", alert, "--reason", "stopping it", "--actor", "ann@example.com")
    assert done.returncode == 0 and done.stdout.startswith(f"Acknowledged alert {alert} of acme.\nOn the log at ")
    again = commands.run("ack", alert)
    assert again.returncode == 1
    assert f"alert {alert} of acme: not acknowledged, since alert {alert} is acknowledged already" in again.stderr
    assert commands.read("list")[0]["state"] == "acknowledged"
    assert commands.run("label", alert, "false").returncode == 0
    assert commands.run("resolve", alert, "--json").returncode == 0
    assert commands.read("list") == []
    (over,) = commands.read("list", "--all")
    assert (over["state"], over["label"]) == ("over", "false")
    assert [step.split(" ", 2)[2].split(" by ")[0] for step in over["handling"]] == [
        "acknowledged", "labeled false", "resolved",
    ]  # fmt: skip
    assert over["handling"][0].endswith("acknowledged by ann@example.com: stopping it")
    unknown = commands.run("resolve", "9-9-9-none")
    assert unknown.returncode == 1 and "`tally alerts list --all` shows their ids" in unknown.stderr
    assert commands.run("label", alert, "maybe").returncode == 2


def test_a_silence_has_a_beginning_an_end_and_a_scope(commands: Commands) -> None:
    silenced = commands.run("silence", "--team", "search", "--until", "2h", "--reason", "an upgrade", "--json")
    body = json.loads(silenced.stdout)["body"]
    assert silenced.returncode == 0 and body["team"] == "search" and body["reason"] == "an upgrade"
    assert commands.run("silence", "--team", "search", "--until", "now").returncode == 0
    ended = commands.run("silence", "--team", "search", "--until", "now")
    assert ended.returncode == 1 and "no silence of this scope is in force" in ended.stderr
    planned = commands.run("silence", "--since", "2126-10-03T22:00", "--until", "2126-10-04T04:00")
    assert planned.returncode == 0 and "Silenced alerts of acme until 2126-10-04T04:00:00+00:00." in planned.stdout
    assert commands.run("silence", "--until", "tomorrow").returncode == 2


def test_an_alert_goes_from_its_route_to_its_end(commands: Commands, receiver: Receiver) -> None:
    """From the command that adds a route to the one that resolves the alert, through every process."""
    added = commands.read("route", "add", "--channel", "pagerduty", "--to", f"http://KEY@{receiver.host}/v2/enqueue")
    assert "secret" not in added and added["address"].startswith(f"http://{receiver.host}/…")
    tried = commands.run("test", "--route", added["id"])
    assert tried.returncode == 0 and "HTTP 204, delivered" in tried.stdout
    commands.telling.start("alerts")
    alert = commands.run_away()
    eventually(lambda: len(receiver.taken) == 2)
    assert commands.run("ack", alert).returncode == 0
    eventually(lambda: len(receiver.taken) == 3)
    assert commands.run("resolve", alert).returncode == 0
    eventually(lambda: len(receiver.taken) == 4)
    events = [json.loads(body) for body in receiver.bodies()]
    assert [event["event_action"] for event in events] == ["trigger", "trigger", "acknowledge", "resolve"]
    assert {event["dedup_key"] for event in events[1:]} == {alert}
    assert commands.run("route", "remove", added["id"]).returncode == 0
    assert commands.run("route", "remove", added["id"]).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--channel", "pigeon", "--to", "http://h"), "--channel is 'pigeon': choose one of webhook, slack, pagerduty"),
        (("--channel", "slack", "--to", "SECRET"), "is no address of slack: write one such as https://hooks.slack.com"),
        (("--channel", "pagerduty", "--to", "https://h/SECRET"), "is no address of pagerduty: write one such as the"),
        (("--channel", "email", "--to", "smtp://u:SECRET@h"), "is no address of email: write one such as smtp://"),
        (("--channel", "slack", "--to", "http://h", "--severity", "SOON"), "choose one of warning, page"),
        (("--channel", "slack", "--to", "http://h", "--after", "soon"), "--after is 'soon': write a number and s, m"),
    ],
)
def test_what_is_no_route_is_refused_without_its_secret(
    commands: Commands, arguments: tuple[str, ...], reason: str
) -> None:
    done = commands.run("route", "add", *arguments)
    assert done.returncode == 2 and reason in " ".join(done.stderr.split()) and "SECRET" not in done.stderr
