"""Budgets: the rule of the docstring, on examples and against an obvious reading of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.log import Record
from ledger.log.topics import DECISIONS
from streams.replay import replay
from tallystick.vocabulary.inference import ReportedTokens
from tests.streams.build import DOCUMENTS, adopt, budget, call, control, correction, record


def decisions(*records: Record) -> list[tuple[Any, ...]]:
    """(decision, thresholds, used) of every threshold's decision, in order; one of the past says so."""
    return [
        (
            ("past " if line.get("past") else "") + line["decision"].removeprefix("threshold."),
            tuple(line["thresholds"]),
            float(line["used"]),
        )
        for line in told(*records)
        if line["decision"].startswith("threshold.")
    ]


ALL = (50, 80, 100)


def test_each_threshold_is_crossed_once() -> None:
    calls = [record(at, call(f"c{at}", at), at_s=at) for at in range(2, 14)]
    assert decisions(record(0, adopt()), record(1, budget("b", "10")), *calls) == [
        ("crossed", (50,), 5), ("crossed", (80,), 8), ("crossed", (100,), 10),
    ]  # fmt: skip


def test_one_call_that_crosses_all_makes_one_decision() -> None:
    many = call("c", tokens={"input": 20_000_000})
    (line,) = told(record(0, adopt()), record(1, budget("b", "10"), many))
    assert (line["threshold"], line["thresholds"], "past" in line) == (100, [50, 80, 100], False)


def test_the_windows_spend_falls_and_arms_again() -> None:
    """A window of 60 s has buckets of 1 s: what was spent at 0 s counts until 60 s, and not at 61 s."""
    spent = record(1, budget("b", "1", 60), call("a", 0))
    still = record(2, call("b", 60), at_s=60)
    later = record(2, call("b", 61), at_s=61)
    crossed, armed = [("crossed", ALL, 1)], [("rearmed", ALL, 0)]
    assert decisions(record(0, adopt()), spent, still) == crossed
    assert decisions(record(0, adopt()), spent, later) == crossed + armed + crossed


def test_time_alone_arms_again_at_a_tick() -> None:
    spent = record(1, budget("b", "1", 60), call("a", 0))
    early = record(2, at_s=60.9)
    tick = record(2, at_s=61)
    assert len(decisions(record(0, adopt()), spent, early)) == 1
    assert decisions(record(0, adopt()), spent, tick)[1:] == [("rearmed", ALL, 0)]


def test_a_trace_of_last_year_is_judged_as_the_past() -> None:
    """Each window of its time is, in its order, and none of it is spent now."""
    calls = [record(at, call(f"c{at}", at * 600 - 31e6), at_s=at / 1000) for at in range(2, 146)]
    assert decisions(record(0, adopt()), record(1, budget("b", "12")), *calls) == [("past crossed", (50,), 6)]


@pytest.mark.parametrize("order", [1, -1])
def test_a_limit_is_crossed_whatever_the_order_of_late_calls(order: int) -> None:
    """Twenty calls of a dollar within an hour that lies within the day of the limit."""
    calls = [call(f"c{number}", number * 180 - 7200) for number in range(20)][::order]
    assert decisions(record(0, adopt(), budget("b", "10", 86400), *calls)) == [
        ("crossed", (50,), 5), ("crossed", (80,), 8), ("crossed", (100,), 10),
    ]  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
def test_what_only_a_past_window_holds_is_crossed_in_the_past(order: int) -> None:
    calls = [call(f"c{number}", number - 200) for number in range(20)][::order]
    past = [("past crossed", (50,), 5), ("past crossed", (80,), 8), ("past crossed", (100,), 10)]
    log = [record(0, adopt(), budget("b", "10", 60), *calls)]
    assert decisions(*log) == past
    now = record(1, call("now", 1, tokens={"input": 5_000_000}), at_s=1)
    assert decisions(*log, now) == [*past, ("crossed", (50,), 5)], "the past arms and fires nothing"


def test_a_late_call_may_cross_in_the_present_and_higher_in_the_past() -> None:
    """Six dollars lie in the window that ended 30 s ago, four of them in that of now."""
    early = [call(f"e{number}", 31, tokens={"input": 2_000_000}) for number in range(1)]
    late = call("late", 70, tokens={"input": 4_000_000})
    log = [record(0, adopt(), budget("b", "6", 60), *early), record(1, late, at_s=100)]
    assert decisions(*log) == [("crossed", (50,), 4), ("past crossed", (80, 100), 6)]


def test_what_is_spent_ahead_of_the_logs_time_is_spent_now() -> None:
    """A client's clock may be five minutes fast, which is more than this window is long."""
    log = [record(0, adopt(), budget("b", "2", 60), call("fast", 250)), record(1, call("a", 1), at_s=1)]
    assert decisions(*log) == [("crossed", (50,), 1), ("crossed", (80, 100), 2)]
    assert decisions(*log, record(2, at_s=62)) == [*decisions(*log), ("rearmed", (80, 100), 1)]


def test_a_limit_that_is_changed_first_moves_the_clock() -> None:
    """What has left the window does not count against the new limit."""
    spent = record(1, budget("b1", "10", 60), call("a", tokens={"input": 4_000_000}))
    assert decisions(record(0, adopt()), spent, record(2, budget("b2", "4", 60), at_s=61)) == []
    assert decisions(record(0, adopt()), spent, record(2, budget("b2", "4", 60), at_s=60)) == [("crossed", ALL, 4)]


def test_a_changed_limit_is_judged_at_once() -> None:
    spent = record(1, budget("b1", "10"), call("a", tokens={"input": 6_000_000}))
    lower = record(2, budget("b2", "5"))
    higher = record(3, budget("b3", "100"))
    assert decisions(record(0, adopt()), spent, lower, higher) == [
        ("crossed", (50,), 6), ("crossed", (80, 100), 6), ("rearmed", ALL, 6),
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
    assert [(one["decision"], one.get("thresholds")) for one in found] == [
        ("threshold.crossed", [50, 80, 100]), ("threshold.rearmed", [50, 80, 100]),
        ("unknown_usage.raised", None), ("unknown_usage.resolved", None),
    ]  # fmt: skip


def test_quarantined_amounts_count_by_the_same_policy() -> None:
    wrong = call("a", tokens={"input": 1}, reported_tokens=ReportedTokens(total=1_000_000))
    (denied, *_) = told(record(0, adopt()), record(1, budget_of("deny"), wrong))
    assert (denied["decision"], denied["unknown_calls"], denied["unknown_tokens"]) == (
        "unknown_usage.raised", 1, 1_000_000,
    )  # fmt: skip
    (crossed,) = told(record(0, adopt()), record(1, budget_of("assume_greatest"), wrong))
    assert crossed["thresholds"] == [50, 80], "one token is of input for sure"


def test_what_a_customers_own_key_used_is_known_to_cost_nothing() -> None:
    own = call("a", payer="customer", **MISSING)
    assert told(record(0, adopt()), record(1, budget_of("deny"), own)) == []


class Reading:
    """An obvious reading of R13 for one budget with a window of 60 s and buckets of 1 s: it keeps all facts."""

    def __init__(self, limit: int) -> None:
        self.limit, self.now, self.newest = limit, 0, -1_000_000
        self.calls: dict[str, tuple[int, int]] = {}
        self.fired: set[int] = set()
        self.decisions: list[tuple[Any, ...]] = []

    def used(self, end: int, calls: dict[str, tuple[int, int]] | None = None) -> int:
        facts = (self.calls if calls is None else calls).values()
        return sum(paid for second, paid in facts if end - 60 <= second and (second <= end or end == self.now))

    def reaches(self, used: int, threshold: int) -> bool:
        return used * 100 >= threshold * self.limit

    def is_low(self, used: int, threshold: int) -> bool:
        return used * 1000 < threshold * self.limit * 9

    def rearm(self) -> None:
        low = tuple(sorted(threshold for threshold in self.fired if self.is_low(self.used(self.now), threshold)))
        if low:
            self.fired -= set(low)
            self.decisions.append(("rearmed", low, self.used(self.now)))

    def move(self, now: int) -> None:
        for moment in range(self.now + 1, now + 1):
            self.now = moment
            self.rearm()

    def add(self, id: str, second: int, paid: int) -> None:
        if not paid or second < min(self.newest, self.now) - 120:
            return
        before, self.newest = dict(self.calls), max(self.newest, second)
        self.calls[id] = second, paid
        used = self.used(self.now)
        crossed = [t for t in ALL if t not in self.fired and self.reaches(used, t)]
        if crossed:
            self.fired |= set(crossed)
            self.decisions.append(("crossed", tuple(crossed), used))
        ends = range(second, min(second + 60, self.now - 1) + 1)
        if not ends:
            return
        greatest = max(map(self.used, ends))
        past = [
            t
            for t in ALL
            if t not in self.fired
            and self.reaches(greatest, t)
            and not any(self.reaches(self.used(end, before), t) for end in ends)
            and self.was_armed(second, t, before)
        ]
        if past:
            self.decisions.append(("past crossed", tuple(past), greatest))

    def was_armed(self, second: int, threshold: int, calls: dict[str, tuple[int, int]]) -> bool:
        for end in range(second - 1, second - 61, -1):
            used = self.used(end, calls)
            if self.reaches(used, threshold) or self.is_low(used, threshold):
                return self.is_low(used, threshold)
        return True

    def reverse(self, id: str) -> None:
        if id in self.calls and self.calls[id][0] >= min(self.newest, self.now) - 120:
            del self.calls[id]
            self.rearm()


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 40), st.integers(-290, 250), st.integers(0, 3)),
            st.tuples(st.integers(0, 40), st.integers(-30, 0), st.integers(1, 3)),
            st.tuples(st.integers(0, 2), st.none(), st.integers(0, 10)),
        ),
        max_size=40,
    ),
    st.integers(1, 20),
)
def test_crossings_are_those_of_an_obvious_reading(steps: list[tuple[int, int | None, int]], limit: int) -> None:
    """Calls late, ahead and in any order, and reversals of some; what the log's time does between them, too."""
    reading, now = Reading(limit), 0
    ids: list[str] = []
    records = [record(0, adopt()), record(1, budget("b", str(limit), 60))]
    for number, (wait, lag, amount) in enumerate(steps, 2):
        now += wait
        reading.move(now)
        if lag is None:
            id = ids[-1 - amount % len(ids)] if ids else "none"
            line = correction(f"r{number}", id, at_s=now)
            reading.reverse(id)
        else:
            id = f"c{number}"
            ids.append(id)
            line = call(id, now + lag, tokens={"input": amount * 1_000_000})
            reading.add(id, now + lag, amount)
        records.append(record(number, line, at_s=now))
    assert decisions(*records) == reading.decisions
