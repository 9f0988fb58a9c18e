"""Budgets: the rule of the docstring, on examples and against an obvious reading of it."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.log import Record
from ledger.log.topics import DECISIONS
from streams.replay import replay
from tallystick.vocabulary.inference import ReportedTokens
from tests.streams.build import DOCUMENTS, adopt, budget, call, control, record


def decisions(*records: Record) -> list[tuple[Any, ...]]:
    """(decision, threshold, used) of every threshold's decision, in order."""
    said = [
        json.loads(line)
        for topic, derived in replay(records, DOCUMENTS)
        if topic is DECISIONS
        for line in derived.value.split(b"\n")
    ]
    return [
        (one["decision"].removeprefix("threshold."), one["threshold"], float(one["used"]))
        for one in said
        if one["decision"].startswith("threshold.")
    ]


def test_each_threshold_is_crossed_once() -> None:
    calls = [record(at, call(f"c{at}", at), at_s=at) for at in range(2, 14)]
    assert decisions(record(0, adopt()), record(1, budget("b", "10")), *calls) == [
        ("crossed", 50, 5), ("crossed", 80, 8), ("crossed", 100, 10),
    ]  # fmt: skip


def test_one_call_may_cross_all() -> None:
    many = call("c", tokens={"input": 20_000_000})
    assert [one[1] for one in decisions(record(0, adopt()), record(1, budget("b", "10"), many))] == [
        50,
        80,
        100,
    ]


def test_the_windows_spend_falls_and_arms_again() -> None:
    """A window of 60 s has buckets of 1 s: what was spent at 0 s counts until 60 s, and not at 61 s."""
    spent = record(1, budget("b", "1", 60), call("a", 0))
    still = record(2, call("b", 60), at_s=60)
    later = record(2, call("b", 61), at_s=61)
    crossed = [("crossed", 50, 1), ("crossed", 80, 1), ("crossed", 100, 1)]
    armed = [("rearmed", 50, 0), ("rearmed", 80, 0), ("rearmed", 100, 0)]
    assert decisions(record(0, adopt()), spent, still) == crossed
    assert decisions(record(0, adopt()), spent, later) == crossed + armed + crossed


def test_time_alone_arms_again_at_a_tick() -> None:
    spent = record(1, budget("b", "1", 60), call("a", 0))
    early = record(2, at_s=60.9)
    tick = record(2, at_s=61)
    assert len(decisions(record(0, adopt()), spent, early)) == 3
    assert [one[0] for one in decisions(record(0, adopt()), spent, tick)[3:]] == ["rearmed"] * 3


def test_a_trace_of_last_year_is_judged_on_its_own_clock() -> None:
    """At full speed a day of events arrives within a second of the log's time."""
    calls = [record(at, call(f"c{at}", at * 600 - 31e6), at_s=at / 1000) for at in range(2, 146)]
    assert decisions(record(0, adopt()), record(1, budget("b", "12")), *calls) == [("crossed", 50, 6)]


def test_a_changed_limit_is_judged_at_once() -> None:
    spent = record(1, budget("b1", "10"), call("a", tokens={"input": 6_000_000}))
    lower = record(2, budget("b2", "5"))
    higher = record(3, budget("b3", "100"))
    assert decisions(record(0, adopt()), spent, lower, higher) == [
        ("crossed", 50, 6), ("crossed", 80, 6), ("crossed", 100, 6),
        ("rearmed", 50, 6), ("rearmed", 80, 6), ("rearmed", 100, 6),
    ]  # fmt: skip


def test_another_scope_and_a_customers_own_key_do_not_count() -> None:
    calls = (
        call("a", team="other", tokens={"input": 9_000_000}),
        call("b", team="search", payer="customer", tokens={"input": 9_000_000}),
    )
    assert decisions(record(0, adopt()), record(1, budget("b", "1", team="search"), *calls)) == []


def test_a_budget_in_another_currency_has_no_effect_on_one_that_stands() -> None:
    other = budget("b2", "5").replace(b'"USD"', b'"EUR"')
    (entries,) = [
        derived.value
        for topic, derived in replay([record(0, adopt(), budget("b1", "10"), other)], DOCUMENTS)
        if topic is DECISIONS
    ]
    last = json.loads(entries.split(b"\n")[-1])
    assert last["decision"] == "control.ineffective" and "USD" in last["reason"]


def budget_of(policy: str, limit: str = "10", window_s: int = 60) -> bytes:
    body: dict[str, Any] = {
        "dimension": "organization",
        "scope": "acme",
        "limit": limit,
        "currency": "USD",
        "window_s": window_s,
    }
    return control(f"b {policy} {limit}", "budget.allocated", **body, unknown_usage=policy)


def told(*records: Record) -> list[dict[str, Any]]:
    """Every decision of a budget but those about its record."""
    derived = (value.value for topic, value in replay(records, DOCUMENTS) if topic is DECISIONS)
    lines = (json.loads(line) for value in derived for line in value.split(b"\n"))
    return [line for line in lines if not line["decision"].startswith("control.")]


MISSING: dict[str, Any] = {"usage_source": "missing", "tokens": None}
"""A call of the model m1, whose window of a million tokens costs ten dollars at the most expensive rate."""


def test_unknown_usage_costs_nothing_and_is_counted_beside_the_spend() -> None:
    calls = record(1, budget_of("tokens_only"), call("a", **MISSING, calls=2), call("b", tokens={"input": 5_000_000}))
    (crossed,) = told(record(0, adopt()), calls)
    assert (crossed["threshold"], crossed["used"], crossed["assumed"]) == (50, "5.000000000000", "0.000000000000")
    assert (crossed["unknown_calls"], crossed["unbounded_calls"], crossed["unknown_usage"]) == (2, 0, "tokens_only")


def test_the_most_that_unknown_usage_may_cost_is_assumed() -> None:
    known = call("a", tokens={"input": 1_000_000})
    found = told(record(0, adopt()), record(1, budget_of("assume_greatest", "20"), known, call("b", **MISSING)))
    assert [(one["threshold"], one["used"], one["assumed"]) for one in found] == [
        (50, "11.000000000000", "10.000000000000")
    ]


def test_one_unknown_call_is_denied_until_it_has_left_the_window() -> None:
    first = record(1, budget_of("deny"), call("a", 0, **MISSING), call("b", 1, model="unheard of"))
    found = told(record(0, adopt()), first, record(2, at_s=61), record(3, at_s=62))
    assert [(one["decision"], one.get("unknown_calls", 0), one.get("unbounded_calls", 0)) for one in found] == [
        ("unknown_usage.raised", 1, 0), ("unknown_usage.resolved", 0, 0),
    ]  # fmt: skip
    assert found[0]["event_id"] == "a" and "threshold" not in found[0]


def test_another_policy_judges_the_same_window_anew() -> None:
    unknown = record(1, budget_of("tokens_only"), call("a", **MISSING))
    found = told(
        record(0, adopt()), unknown, record(2, budget_of("assume_greatest")), record(3, budget_of("deny")),
        record(4, budget_of("tokens_only", "11")),
    )  # fmt: skip
    assert [(one["decision"], one.get("threshold")) for one in found] == [
        ("threshold.crossed", 50), ("threshold.crossed", 80), ("threshold.crossed", 100),
        ("threshold.rearmed", 50), ("threshold.rearmed", 80), ("threshold.rearmed", 100),
        ("unknown_usage.raised", None), ("unknown_usage.resolved", None),
    ]  # fmt: skip


def test_quarantined_amounts_count_by_the_same_policy() -> None:
    wrong = call("a", tokens={"input": 1}, reported_tokens=ReportedTokens(total=1_000_000))
    (denied, *_) = told(record(0, adopt()), record(1, budget_of("deny"), wrong))
    assert (denied["decision"], denied["unknown_calls"], denied["unknown_tokens"]) == (
        "unknown_usage.raised", 1, 1_000_000,
    )  # fmt: skip
    assert [one["threshold"] for one in told(record(0, adopt()), record(1, budget_of("assume_greatest"), wrong))] == [
        50, 80,
    ], "one token is of input for sure"  # fmt: skip


def test_what_a_customers_own_key_used_is_known_to_cost_nothing() -> None:
    own = call("a", payer="customer", **MISSING)
    assert told(record(0, adopt()), record(1, budget_of("deny"), own)) == []


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3)), max_size=40),
    st.integers(1, 30),
)
def test_crossings_are_those_of_an_obvious_reading(calls: list[tuple[int, int]], limit: int) -> None:
    """In order, with a window of 60 s: sum the sixty-one seconds that end at the call, and remember what fired."""
    calls = sorted(calls)
    fired: set[int] = set()
    expected = []
    for at, (second, dollars) in enumerate(calls):
        if not dollars:
            continue
        before = [(then, paid) for then, paid in calls[:at] if paid]
        for moment in range(before[-1][0] if before else 0, second + 1):
            used = sum(paid for then, paid in before if moment - 60 <= then <= moment)
            fired -= {one for one in fired if used < Decimal(one * limit) / 100 * Decimal("0.9")}
        used = sum(paid for then, paid in [*before, (second, dollars)] if second - 60 <= then)
        for threshold in (50, 80, 100):
            if threshold not in fired and used >= Decimal(threshold * limit) / 100:
                fired.add(threshold)
                expected.append((threshold, used))
    records = [
        record(2 + at, call(f"c{at}", second, tokens={"input": dollars * 1_000_000}), at_s=second)
        for at, (second, dollars) in enumerate(calls)
    ]
    found = decisions(record(0, adopt()), record(1, budget("b", str(limit), 60)), *records)
    assert [one[1:] for one in found if one[0] == "crossed"] == expected
