"""Each channel's form of each message: what it says, that nothing in a name is markup, and that it is no longer than
its receiver takes."""

import json
from typing import Any

import pytest

from alerting.channels.channel import Mail, Request
from alerting.channels.registry import CHANNELS
from alerting.messages import Message, create_test_message
from alerting.routes import CHANNELS as NAMES
from alerting.routes import Channel, Route
from alerting.wording import Context

NOW_S = 1_790_000_000.0
HOSTILE = "<b>*_`x`_*</b> &amp; [a](http://evil) \u202e\n\r\n.\r\nBcc: eve" + "y" * 300
RUNAWAY: dict[str, Any] = {
    "alert": "3-17-0-repeated_tool", "detector": "repeated_tool", "session": "s-1", "agent": "crawler", "tool": "grep",
    "team": "search", "repeats": 4, "spent": {"USD": "0.120000000000"}, "per_hour": {"USD": "7.200000000000"},
    "projected": {"USD": "57.720000000000"}, "severity": "page", "families": ["growth", "repetition"], "since_us": 1,
    "last_us": 2, "evidence": [],
}  # fmt: skip
BUDGET = {
    "dimension": "team", "scope": "search", "window_s": 3600, "limit": "10.000000000000", "currency": "USD",
    "threshold": 80, "used": "8.100000000000", "unknown_calls": 2,
}  # fmt: skip
PAST = {"alerts": 87, "spent": {"USD": "10.440000000000"}, "since_us": 1, "last_us": 2}
PEOPLE = Context("http://dash", "search", "bob", "ann@example.com")
ADDRESSES: dict[Channel, str] = {
    "webhook": "http://host/hook", "slack": "http://host/slack", "pagerduty": "https://KEY@host/v2/enqueue",
    "opsgenie": "https://KEY@host", "teams": "http://host/teams", "alertmanager": "http://host:9093/",
    "email": "smtp://u:p@host/oncall@example.com?from=tally@example.com",
}  # fmt: skip
LINK = "http://dash/incidents?alert=3-17-0-repeated_tool"


def make(kind: str, **facts: Any) -> Message:
    data = PAST if kind == "runaway.history" else RUNAWAY if kind.startswith("runaway.") else BUDGET
    return Message(
        "alerts-3-17-1", "acme", kind, 1_790_000_000_123, (PAST if kind.endswith("history") else data) | facts
    )


EVERY = [
    make("runaway.raised"), make("runaway.escalated"), make("runaway.acknowledged", by="ann", reason="mine"),
    make("runaway.resolved", reason="silent"), make("runaway.history"), make("budget.threshold_crossed"),
    make("budget.unknown_usage_raised"), make("budget.unknown_usage_resolved"), create_test_message("acme", "t-1", 0),
]  # fmt: skip


def render(channel: Channel, message: Message, context: Context = PEOPLE) -> tuple[Request | Mail, ...]:
    route = Route("r", "acme", channel, ADDRESSES[channel], "whsec_AAAA", 0)
    return CHANNELS[channel](message, route, context, NOW_S)


def render_json(channel: Channel, message: Message, context: Context = PEOPLE) -> list[Any]:
    requests = render(channel, message, context)
    assert all(isinstance(request, Request) for request in requests)
    return [json.loads(request.body) for request in requests if isinstance(request, Request)]


@pytest.mark.parametrize("channel", NAMES)
@pytest.mark.parametrize("message", EVERY, ids=lambda message: str(message.type))
def test_every_message_has_a_form_or_none_by_intent(channel: Channel, message: Message) -> None:
    absent = {"pagerduty": {"runaway.history"}, "opsgenie": {"runaway.history"},
              "alertmanager": {"runaway.history", "runaway.acknowledged"}}  # fmt: skip
    parts = render(channel, message)
    assert bool(parts) == (message.type not in absent.get(channel, set()))
    for part in parts:
        assert part.content if isinstance(part, Mail) else json.loads(part.body)
        assert "KEY" not in (part.url if isinstance(part, Request) else "")


@pytest.mark.parametrize("channel", NAMES)
def test_a_runaway_names_its_cost_its_people_and_its_page(channel: Channel) -> None:
    (part, *_) = render(channel, make("runaway.raised"))
    if isinstance(part, Mail):
        text = part.content.decode().replace("=\r\n", "").replace("=3D", "=")
    else:
        text = part.body.decode().replace("\\\\", "")
    for fact in ("crawler", "0.12", "7.20", "ann@example.com", "bob", "search", LINK):
        assert fact in text, (fact, text)


@pytest.mark.parametrize("channel", NAMES)
def test_without_dashboards_and_people_nothing_is_left_blank(channel: Channel) -> None:
    for part in render(channel, make("runaway.raised"), Context()):
        text = (part.content if isinstance(part, Mail) else part.body).decode()
        assert "None" not in text and "incidents?" not in text


@pytest.mark.parametrize("channel", NAMES)
@pytest.mark.parametrize("kind", ["runaway.raised", "runaway.acknowledged", "budget.threshold_crossed"])
def test_no_name_breaks_the_form(channel: Channel, kind: str) -> None:
    """Names come from whoever sends events: a form stays whole, and within its receiver's bounds."""
    names = {"agent": HOSTILE, "session": HOSTILE, "tool": HOSTILE, "scope": HOSTILE, "by": HOSTILE, "reason": HOSTILE}
    message = make(kind, **names)._replace(organization=HOSTILE)
    (part, *_) = render(channel, message, Context("http://dash", HOSTILE, HOSTILE, HOSTILE)) or (None,)
    if isinstance(part, Mail):
        assert b"\r\nBcc" not in part.content and part.recipient == "oncall@example.com"
    elif channel == "slack" and part is not None:
        body = json.loads(part.body)
        assert "<b>" not in part.body.decode() and "evil)" in part.body.decode()
        assert all(len(field["text"]) <= 2_000 for block in body["blocks"] for field in block.get("fields", ()))
    elif channel == "teams" and part is not None:
        assert "[a](" not in json.loads(part.body)["attachments"][0]["content"]["body"][1]["text"]
    elif channel == "pagerduty" and part is not None:
        event = json.loads(part.body)
        assert len(event["dedup_key"]) <= 255 and len(event.get("payload", {}).get("summary", "")) <= 1_024
    elif channel == "opsgenie" and part is not None:
        alert = json.loads(part.body)
        assert len(alert.get("message", "")) <= 130 and all(len(tag) <= 50 for tag in alert.get("tags", ()))


def test_pagerduty_gets_one_incident_an_alert() -> None:
    events = [render_json("pagerduty", message)[0] for message in EVERY[:4]]
    assert [event["event_action"] for event in events] == ["trigger", "trigger", "acknowledge", "resolve"]
    assert {event["dedup_key"] for event in events} == {"3-17-0-repeated_tool"}
    assert {event["routing_key"] for event in events} == {"KEY"}
    payload = events[0]["payload"]
    assert (payload["severity"], payload["component"], payload["group"]) == ("critical", "crawler", "search")
    assert payload["custom_details"]["On call"] == "ann@example.com" and events[0]["links"][0]["href"] == LINK
    assert render_json("pagerduty", make("runaway.raised", severity="warning"))[0]["payload"]["severity"] == "warning"
    keys = {
        render_json("pagerduty", make(f"budget.unknown_usage_{state}"))[0]["dedup_key"]
        for state in ("raised", "resolved")
    }
    assert len(keys) == 1


def test_opsgenie_creates_raises_acknowledges_and_closes() -> None:
    parts = [part for message in EVERY[:4] for part in render("opsgenie", message)]
    alias = "/v2/alerts/3-17-0-repeated_tool/{}?identifierType=alias"
    assert [(part.method, part.url.removeprefix("https://host")) for part in parts if isinstance(part, Request)] == [
        ("POST", "/v2/alerts"), ("POST", "/v2/alerts"), ("PUT", alias.format("priority")),
        ("POST", alias.format("acknowledge")), ("POST", alias.format("close")),
    ]  # fmt: skip
    assert {part.headers["Authorization"] for part in parts if isinstance(part, Request)} == {"GenieKey KEY"}
    assert render_json("opsgenie", EVERY[1])[1] == {"priority": "P1"}


def test_alertmanager_ends_what_escalates_and_what_is_over() -> None:
    """Labels are its identity: the severity that an alert had is ended, and the one that it has begins."""

    def list_ends(message: Message) -> dict[str, bool]:
        (alerts,) = render_json("alertmanager", message)
        assert {alert["labels"]["alertname"] for alert in alerts} == {"TallystickRunaway"}
        return {alert["labels"]["severity"]: alert["endsAt"] <= "2026-09-21T14:13:20+00:00" for alert in alerts}

    assert list_ends(make("runaway.raised", severity="warning")) == {"warning": False}
    assert list_ends(make("runaway.escalated")) == {"warning": True, "page": False}
    assert list_ends(make("runaway.resolved")) == {"warning": True, "page": True}
    labels = [
        render_json("alertmanager", make("runaway.raised", spent=spent))[0][0]["labels"] for spent in ({}, {"USD": "1"})
    ]
    assert labels[0] == labels[1], "what grows is an annotation"


def test_slack_and_teams_get_a_button_with_the_link() -> None:
    (slack,) = render_json("slack", make("runaway.raised"))
    assert slack["blocks"][-1]["elements"][0]["url"] == LINK and len(slack["blocks"][1]["fields"]) <= 10
    (teams,) = render_json("teams", make("runaway.raised"))
    card = teams["attachments"][0]["content"]
    assert card["actions"][0]["url"] == LINK and card["body"][0]["color"] == "attention"
    assert json.dumps(render_json("slack", create_test_message("acme", "t", 0))).count("actions") == 0
