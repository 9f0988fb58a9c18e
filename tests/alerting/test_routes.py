"""Receivers of each message and its time: routes by team and severity, escalation, silences, handling, the past."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alerting.incidents import HISTORY_QUIET_MS
from ledger.log.topics import DECISIONS
from tests.alerting.build import ALERT, MINUTE_MS, START_MS, Story, telling_story
from tests.alerting.conftest import Receiver

HOUR_MS = 60 * MINUTE_MS


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    with telling_story(tmp_path) as made:
        yield made


def types(receiver: Receiver) -> list[str]:
    return [message["type"].removeprefix("runaway.") for message in receiver.messages()]


def actions(receiver: Receiver) -> list[tuple[str, str]]:
    """Action and deduplication key of each event that PagerDuty got."""
    return [(event["event_action"], event["dedup_key"]) for event in map(json.loads, receiver.bodies())]


def test_a_runaway_is_one_incident_that_escalates_and_ends(story: Story, receiver: Receiver) -> None:
    story.route("pagerduty", f"http://KEY@{receiver.host}/v2/enqueue")
    story.alert("raised")
    story.step()
    story.alert("escalated", severity="page")
    story.decide("alert.acknowledged", alert=ALERT)
    story.step()
    story.alert("resolved", severity="page", reason="silent")
    story.step()
    assert actions(receiver) == [("trigger", ALERT), ("trigger", ALERT), ("acknowledge", ALERT), ("resolve", ALERT)]
    severities = [event["payload"]["severity"] for event in map(json.loads, receiver.bodies()) if "payload" in event]
    assert severities == ["warning", "critical"]


def test_a_route_of_pages_hears_of_an_alert_when_it_escalates(story: Story, receiver: Receiver) -> None:
    story.route("webhook", receiver.url, severity="page")
    story.alert("raised", "warns")
    story.alert("resolved", "warns")
    story.alert("raised")
    story.step()
    assert types(receiver) == []
    story.alert("escalated", severity="page")
    story.alert("resolved", severity="page")
    story.step()
    assert types(receiver) == ["escalated", "resolved"]


def test_a_team_hears_of_its_own_alerts_and_of_those_below_it(story: Story, receiver: Receiver) -> None:
    story.route("webhook", receiver.url, team="product")
    story.decide("scope.declared", dimension="team", scope="search", parent="product")
    story.decide("scope.assigned", dimension="agent", scope="triage", team="search")
    story.alert("raised", "a-1", team="search")
    story.alert("raised", "a-2", team="billing")
    story.alert("raised", "a-3", agent="triage")
    story.alert("raised", "a-4", agent="nobody's")
    story.step()
    assert [message["data"]["alert"] for message in receiver.messages()] == ["a-1", "a-3"]


def test_a_message_names_the_owner_and_who_is_on_call(story: Story, receiver: Receiver) -> None:
    """Those of the nearest team that has them, by the registry as it is now, and by name where the home knows it."""
    story.route("webhook", receiver.url)
    story.name("p_bob", "bob@example.com")
    story.decide("scope.declared", dimension="team", scope="product", owner="p_ann", on_call="p_cal")
    story.decide("scope.declared", dimension="team", scope="search", parent="product", on_call="p_bob")
    story.decide("scope.declared", START_MS + HOUR_MS, dimension="team", scope="search", on_call="p_eve")
    story.alert("raised", team="search")
    story.step()
    (message,) = receiver.messages()
    assert (message["owner"], message["on_call"]) == ("p_ann", "bob@example.com")


def test_an_alert_that_nobody_acknowledges_is_escalated(story: Story, receiver: Receiver) -> None:
    route = story.route("webhook", receiver.url, after_s=900)
    for alert in ("a-1", "a-2", "a-3"):
        story.alert("raised", alert)
    story.step(10)
    assert types(receiver) == []
    story.decide("alert.acknowledged", alert="a-1")
    story.alert("resolved", "a-2")
    story.alert("escalated", "a-3", severity="page", spent={"USD": "7.000000000000"})
    story.step()
    story.step(5)
    (message,) = receiver.messages()
    assert message["data"]["alert"] == "a-3" and message["data"]["spent"] == {"USD": "7.000000000000"}
    story.alert("resolved", "a-1")
    story.alert("resolved", "a-3")
    story.step()
    assert types(receiver) == ["raised", "resolved"]
    assert story.states(route).count(("raised", "not needed")) == 2


@pytest.mark.parametrize(
    "scope", [{}, {"team": "search"}, {"agent": "crawler"}, {"session": "s-1"}, {"detector": "repeated_tool"},
              {"alert": ALERT}, {"team": "search", "agent": "crawler"}],
)  # fmt: skip
def test_a_silenced_alert_is_told_when_the_silence_ends(
    story: Story, receiver: Receiver, scope: dict[str, str]
) -> None:
    story.route("webhook", receiver.url)
    story.decide("alert.silenced", None, until="2026-09-21T15:13:20.000000Z", **scope)  # an hour
    story.alert("raised", team="search")
    story.step(5)
    assert types(receiver) == [] and story.states() == [("raised", "silenced")]
    story.step(56)
    assert types(receiver) == ["raised"] and story.states() == [("raised", "delivered")]


def test_what_ends_within_a_silence_is_told_to_nobody(story: Story, receiver: Receiver) -> None:
    story.route("webhook", receiver.url)
    story.decide("alert.silenced", until="2026-09-21T15:13:20.000000Z", team="search")
    story.alert("raised", team="search")
    story.alert("raised", "a-2", team="billing")
    story.step(5)
    story.alert("resolved", team="search")
    story.step(120)
    assert [message["data"]["alert"] for message in receiver.messages()] == ["a-2"]
    assert sorted(story.states()) == [("raised", "delivered"), ("raised", "silenced"), ("resolved", "not needed")]


def test_a_silence_of_a_team_covers_its_agents_and_the_teams_below_it(story: Story, receiver: Receiver) -> None:
    story.route("webhook", receiver.url)
    story.decide("scope.declared", dimension="team", scope="search", parent="product")
    story.decide("scope.assigned", dimension="agent", scope="triage", team="search")
    story.decide("alert.silenced", until="2026-09-21T15:13:20.000000Z", team="product")
    story.alert("raised", "a-1", team="search")
    story.alert("raised", "a-2", agent="triage")
    story.alert("raised", "a-3")
    story.step(5)
    assert [message["data"]["alert"] for message in receiver.messages()] == ["a-3"]
    assert story.deliveries.oldest_pending_ms(story.now_ms) is None, "what is silenced is not late"


def test_a_silence_can_be_ended_and_planned(story: Story, receiver: Receiver) -> None:
    """A window to come silences nothing yet, and what ends a silence lets its alerts go."""
    story.route("webhook", receiver.url)
    story.decide("alert.silenced", START_MS + HOUR_MS, until="2026-09-21T17:13:20.000000Z")
    story.alert("raised", "a-1")
    story.step()
    assert types(receiver) == ["raised"]
    story.step(61)
    story.alert("raised", "a-2")
    story.step()
    assert types(receiver) == ["raised"]
    story.decide("alert.silenced", until="2026-09-21T15:00:00.000000Z")
    story.alert("raised", "a-3")
    story.step()
    assert [message["data"]["alert"] for message in receiver.messages()] == ["a-1", "a-2", "a-3"]


def test_a_person_ends_an_alert_for_its_receivers(story: Story, receiver: Receiver) -> None:
    story.route("webhook", receiver.url)
    story.name("p_ann", "ann")
    story.alert("raised")
    story.step()
    story.decide("alert.resolved", alert=ALERT, actor="p_ann", reason="stopped")
    story.alert("escalated", severity="page")
    story.alert("resolved")
    story.step()
    assert types(receiver) == ["raised", "resolved"]
    assert receiver.messages()[-1]["data"]["by"] == "ann" and receiver.messages()[-1]["data"]["reason"] == "stopped"


def test_the_past_is_one_summary_and_pages_nobody(story: Story, receiver: Receiver) -> None:
    everybody, pages = story.route("webhook", receiver.url), story.route("webhook", receiver.url, severity="page")
    late = story.route("webhook", receiver.url, after_s=60)
    for number in range(87):
        story.alert("raised", f"a-{number}", past=True, severity="page")
        story.alert("resolved", f"a-{number}", past=True)
    story.step()
    assert types(receiver) == []
    story.step(HISTORY_QUIET_MS / MINUTE_MS)
    (message,) = receiver.messages()
    assert message["type"] == "runaway.history"
    assert message["data"]["alerts"] == 87 and message["data"]["spent"] == {"USD": "10.440000000000"}
    assert (story.states(everybody), story.states(pages), story.states(late)) == ([("history", "delivered")], [], [])
    story.step(600)
    assert len(receiver.messages()) == 1


def test_an_alert_of_the_past_that_goes_on_is_told(story: Story, receiver: Receiver) -> None:
    story.route("webhook", receiver.url)
    story.alert("raised", past=True)
    story.alert("escalated", severity="page")
    story.alert("resolved")
    story.step()
    assert types(receiver) == ["escalated", "resolved"]


def test_messages_of_an_alert_keep_their_order(story: Story, receiver: Receiver) -> None:
    """An end that came before a beginning that is tried again would leave the incident open for ever."""
    story.route("webhook", receiver.url)
    receiver.status = lambda number: 500 if number == 1 else 204
    story.alert("raised")
    story.alert("raised", "a-2")
    story.alert("resolved")
    story.step()
    assert [(message["type"][8:], message["data"]["alert"]) for message in receiver.messages()] == [
        ("raised", ALERT), ("raised", "a-2"),
    ]  # fmt: skip
    story.step(1)
    assert types(receiver) == ["raised", "raised", "raised", "resolved"]
    assert {state for _, state in story.states()} == {"delivered"}


def test_what_a_budget_crossed_goes_to_its_team_and_wakes_nobody(story: Story, receiver: Receiver) -> None:
    crossing: dict[str, Any] = {
        "decision": "threshold.crossed", "dimension": "team", "scope": "search", "window_s": 3600, "limit": "10",
        "currency": "USD", "threshold": 80, "used": "8.1", "window_end_us": 1,
    }  # fmt: skip
    story.route("webhook", receiver.url, team="search")
    story.route("webhook", receiver.url, team="billing")
    story.route("webhook", receiver.url, severity="page")
    story.route("webhook", receiver.url, after_s=60)
    story.log.add(DECISIONS, crossing, story.now_ms)
    story.step()
    assert [message["type"] for message in receiver.messages()] == ["budget.threshold_crossed"]
