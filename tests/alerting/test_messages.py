"""What is told, in which words, and when again."""

import json

from hypothesis import given
from hypothesis import strategies as st

from alerting.channels import slack
from alerting.channels.channel import Request
from alerting.channels.webhook import render_standard
from alerting.messages import Message, create_test_message, read_message
from alerting.retry_schedule import RETRY_DELAYS_S, next_attempt_ms
from alerting.routes import Route
from alerting.wording import Context
from ledger.log.topics import ALERTS, DECISIONS

ROUTE = Route("r", "acme", "slack", "http://host/hook", "", 0)


def render_slack(message: Message, dashboards: str | None) -> bytes:
    (request,) = slack.render(message, ROUTE, Context(dashboards), 0)
    assert isinstance(request, Request)
    return request.body


AT = {
    "partition": 3,
    "offset": 17,
    "seq": 1,
    "accepted_ms": 1_790_000_000_123,
    "organization": "acme",
    "event_index": 0,
}
CROSSED = AT | {
    "decision": "threshold.crossed", "dimension": "team", "scope": "search", "window_s": 3600,
    "limit": "10.000000000000",
    "currency": "USD", "threshold": 80, "used": "8.100000000000", "window_end_us": 1, "event_source": "s",
    "event_id": "e",
}  # fmt: skip
RAISED = AT | {
    "alert": "3-17-0-repeated_tool", "state": "raised", "severity": "warning",
    "detector": "repeated_tool", "families": ["repetition"], "session": "s-1", "calls": 3,
    "agent": "crawler", "tool": "grep", "arguments_hash": "a", "result_hash": "r", "repeats": 3,
    "spent": {"USD": "0.120000000000"}, "per_hour": {"USD": "7.200000000000"},
    "projected": {"USD": "7.320000000000"},
    "since_us": 1, "last_us": 2, "evidence": [],
}  # fmt: skip


def test_a_crossing_says_which_budget_and_how_far() -> None:
    made = read_message(DECISIONS, CROSSED)
    assert made and (made.id, made.type, made.organization) == ("decisions-3-17-1", "budget.threshold_crossed", "acme")
    told = json.loads(render_standard(made, Context()))
    assert told["timestamp"] == "2026-09-21T14:13:20.123Z" and told["organization"] == "acme"
    assert told["data"]["used"] == "8.100000000000" and told["data"]["event_id"] == "e"
    text = json.loads(render_slack(made, "http://dash"))["text"]
    assert "*80 % of a budget*: team `search` of `acme` used 8.1 of 10 USD in 1 h <http://dash/budgets|look>" in text


def test_denied_usage_of_unknown_cost_says_whose_and_how_many_calls() -> None:
    line = {name: value for name, value in CROSSED.items() if name != "threshold"}
    raised = read_message(DECISIONS, line | {"decision": "unknown_usage.raised", "unknown_calls": 2})
    assert raised and raised.type == "budget.unknown_usage_raised"
    text = json.loads(render_slack(raised, None))["text"]
    assert "team `search` of `acme`, whose budget denies it, has calls of unknown cost (2) in 1 h" in text
    resolved = read_message(DECISIONS, line | {"decision": "unknown_usage.resolved"})
    assert resolved and resolved.type == "budget.unknown_usage_resolved"
    assert "team `search` of `acme`" in json.loads(render_slack(resolved, None))["text"]


def test_a_runaway_says_what_repeats_and_what_it_cost() -> None:
    made = read_message(ALERTS, RAISED)
    assert made and (made.id, made.type) == ("alerts-3-17-1", "runaway.raised")
    text = json.loads(render_slack(made, None))["text"]
    assert "`crawler` called `grep` 3 times with the same arguments and result, in session `s-1`" in text
    assert text.startswith(":warning: *Runaway*") and text.endswith("spent 0.12 USD, 7.20 USD an hour")
    over = read_message(ALERTS, RAISED | {"state": "resolved", "reason": "silent"})
    assert (
        over
        and over.type == "runaway.resolved"
        and "7.20 USD an hour; reason: `silent`" in json.loads(render_slack(over, None))["text"]
    )


def test_a_runaway_that_escalates_says_why() -> None:
    made = read_message(ALERTS, RAISED | {"state": "escalated", "severity": "page", "reason": "growth too"})
    assert made and made.type == "runaway.escalated"
    text = json.loads(render_slack(made, None))["text"]
    assert text.startswith(":rotating_light: *Runaway escalated*") and text.endswith("reason: `growth too`")


def test_a_runaway_without_a_tool_names_its_detector() -> None:
    absent = ("tool", "arguments_hash", "result_hash")
    grown = {name: value for name, value in RAISED.items() if name not in absent} | {"detector": "token_growth"}
    made = read_message(ALERTS, grown)
    assert (
        made
        and "`crawler`, token growth over 3 calls, in session `s-1`" in json.loads(render_slack(made, None))["text"]
    )


def test_what_a_budget_crossed_in_the_past_is_no_news() -> None:
    assert read_message(DECISIONS, CROSSED | {"past": True}) is None


def test_what_else_is_decided_is_not_told() -> None:
    for decision in ("control.applied", "control.ineffective", "threshold.rearmed"):
        assert read_message(DECISIONS, CROSSED | {"decision": decision}) is None


def test_a_trial_is_no_alert() -> None:
    one = create_test_message("acme", "test-1", 0)
    assert (
        json.loads(render_standard(one, Context()))["type"] == "test"
        and "nothing has happened" in json.loads(render_slack(one, None))["text"]
    )


@given(name=st.text(min_size=1, max_size=256))
def test_a_name_is_never_markup(name: str) -> None:
    """Slack reads `<…>` as links and mentions, and `*`, `_` outside of code."""
    made = read_message(
        ALERTS, RAISED | {"agent": name, "tool": name, "session": name, "team": name, "organization": name}
    )
    assert made
    text = json.loads(render_slack(made, None))["text"]
    outside = "".join(text.split("`")[::2])
    assert "<" not in text and text.count("`") == 10
    assert outside == (
        ":warning: *Runaway*:  (team ) called  3 times with the same arguments and result, in session  of , "
        "spent 0.12 USD, 7.20 USD an hour"
    )
    assert made.data["agent"] == name  # to programs it is said as it is


def test_a_day_is_tried_and_ever_less_often() -> None:
    assert list(RETRY_DELAYS_S) == sorted(RETRY_DELAYS_S) and 23 <= sum(RETRY_DELAYS_S) / 3600 <= 25
    assert [next_attempt_ms(n, 0) for n in (1, 2, len(RETRY_DELAYS_S))] == [5_000, 30_000, RETRY_DELAYS_S[-1] * 1000]
    assert next_attempt_ms(len(RETRY_DELAYS_S) + 1, 0) is None
