"""Reports of meters: when a limit is told, and what is told of it."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.folds.grants.windows import Window
from tests.streams.build import call, correction
from tests.streams.folds.grants.test_grant_fold import grant, limit, list_all_decisions, read_bodies
from tests.streams.folds.grants.test_requests import ask, request

DAY_US = 86_400_000_000


def list_reports(*lines: tuple[float, bytes]) -> list[tuple[int, list[str], Any]]:
    """Return of each report the second in which it came, what its buckets hold, and what is reserved."""
    decisions = [line for line in list_all_decisions(*lines) if line["decision"] == "grant.metered"]
    start_ms = decisions[0]["accepted_ms"]
    seconds = [(line["accepted_ms"] - start_ms) // 1000 for line in decisions]
    bodies = read_bodies(decisions, "grant.metered")
    return [
        (second, [bucket["used"][:4] for bucket in body["buckets"]], body["reserved"][:4])
        for second, body in zip(seconds, bodies, strict=True)
    ]


def test_a_limit_is_told_at_once_and_a_busy_one_once_a_minute() -> None:
    calls = [(100 + second, call(f"c{second}", 100 + second, team="search")) for second in range(130)]
    reports = list_reports((0, grant("g", "search", limits=[limit(1000, window=None)])), *calls)
    assert reports == [(0, [], "0.00"), (100, ["1.00"], "0.00"), (160, ["60.0"], "0.00"), (220, ["120."], "0.00")]


def test_what_is_reserved_settled_or_taken_back_is_told_with_what_it_leaves() -> None:
    lines = (
        (0, grant("g", "search", limits=[limit(100, window=None)])),
        (100, ask("a")),
        (200, call("call", 200, team="search", admission="a", tokens={"output": 10_000})),
        (300, correction("r", "call", at_s=300)),
        (400, ask("b")),
        (410, request("d", action="release", admission="b")),
        (411, ask("e", ttl_s=10)),
        (500, call("else", 500, team="else")),
    )
    assert list_reports(*lines) == [
        (0, [], "0.00"),
        (100, [], "1.00"),
        (200, ["0.10"], "0.00"),
        (300, ["0.00"], "0.00"),
        (400, [], "1.00"),
        (500, [], "0.00"),
    ]


def test_a_crossing_and_a_changed_grant_are_told_at_once_with_all_that_the_window_holds() -> None:
    lines = (
        (0, grant("g", "search", limits=[limit(10, window={"rolling_s": 3600})])),
        (100, call("a", 100, team="search")),
        (101, call("b", 101, team="search", tokens={"input": 3_900_000})),
        (130, grant("n", "search", "grant.narrowed", limits=[limit(9, window={"rolling_s": 3600})])),
    )
    assert list_reports(*lines) == [(0, [], "0.00"), (100, ["1.00"], "0.00"), (130, ["4.90"], "0.00")]
    longer = (*lines[:3], (102, call("c", 102, team="search")), *lines[3:])
    assert list_reports(*longer)[2:] == [(102, ["5.90"], "0.00"), (130, ["5.90"], "0.00")]


@settings(max_examples=200)
@given(
    st.sampled_from(("day", "week", "month", "quarter", "year")),
    st.integers(0, 20_000 * DAY_US),
    st.integers(-840, 840),
    st.integers(1, 12),
)
def test_a_bucket_begins_where_the_one_before_it_ends(kind: Any, time_us: int, minutes: int, first_month: int) -> None:
    offsets = ((0, minutes * 60_000_000), (10_000 * DAY_US, (minutes + 60) * 60_000_000))
    for window in (Window(kind, offsets=offsets, first_month=first_month), Window("rolling", 7 * 60_000_000)):
        starts_us = window.find_start(time_us)
        assert starts_us is not None and starts_us <= time_us
        assert window.find_bucket(starts_us) == window.find_bucket(time_us)
        assert window.find_bucket(starts_us - 1) == window.find_bucket(time_us) - 1
