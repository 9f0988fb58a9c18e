"""Periods by the clock of a time zone, and the part of a span that a chart shows."""

from datetime import UTC, date, datetime, timedelta

import pytest

from dashboards.periods import (
    Span,
    choose_bar,
    crop,
    end_bar,
    find_midnight,
    find_zone,
    format_duration,
    format_span,
    format_window,
    resolve,
)

NOW = datetime(2026, 3, 29, 10, 30, tzinfo=UTC)
DATA = Span(datetime(2000, 1, 1, tzinfo=UTC), NOW)
BUSY = [(date(2026, 3, 1) + timedelta(days=number), 100) for number in range(28)]


def test_days_are_those_of_the_readers_clock() -> None:
    berlin = find_zone("Europe/Berlin")  # summer time begins on 29 March
    now, before = resolve("today", NOW, DATA, zone=berlin)
    assert now == Span(datetime(2026, 3, 28, 23, tzinfo=UTC), NOW)
    assert before == Span(datetime(2026, 3, 27, 23, tzinfo=UTC), datetime(2026, 3, 28, 10, 30, tzinfo=UTC))
    day, _ = resolve("range", NOW, DATA, (date(2026, 3, 29),), berlin)
    assert day.length == timedelta(hours=23)
    month, february = resolve("month", NOW, DATA, zone=find_zone("Asia/Kolkata"))
    assert month.start == datetime(2026, 2, 28, 18, 30, tzinfo=UTC)
    assert february is not None and february.start == datetime(2026, 1, 31, 18, 30, tzinfo=UTC)


def test_a_zone_that_is_not_there_is_utc() -> None:
    for name in ("", "Nowhere/Else", "../../etc/passwd", "UTC"):
        assert find_midnight(date(2026, 1, 1), find_zone(name)) == datetime(2026, 1, 1, tzinfo=UTC)
    assert format_span(Span(NOW - timedelta(hours=1), NOW), find_zone("Asia/Kolkata")).endswith("16:00 Asia/Kolkata")


@pytest.mark.parametrize(
    ("days", "bar"), [(0.5, 900), (7, 3 * 3600), (30, "day"), (80, "day"), (365, "week"), (2000, "month")]
)
def test_bars_are_hours_or_what_a_calendar_has(days: float, bar: int | str) -> None:
    assert choose_bar(Span(NOW - timedelta(days=days), NOW)) == bar


def test_a_bar_ends_where_the_next_begins() -> None:
    assert end_bar(date(2026, 12, 1), "month") == date(2027, 1, 1)
    assert end_bar(date(2026, 2, 1), "month") == date(2026, 3, 1)
    assert end_bar(date(2026, 12, 28), "week") == date(2027, 1, 4)
    assert end_bar(date(2026, 12, 31), "day") == date(2027, 1, 1)


def test_a_lone_call_of_another_year_is_left_out_of_a_chart() -> None:
    old = [(date(2000, 1, 1), 1)]
    assert crop(DATA, old + BUSY) == Span(datetime(2026, 3, 1, tzinfo=UTC), NOW)
    several = [(date(year, 6, 1), 1) for year in range(2000, 2026)]
    assert crop(DATA, several + BUSY) == Span(datetime(2026, 3, 1, tzinfo=UTC), NOW)
    late = Span(BUSY_START, datetime(2199, 1, 2, tzinfo=UTC))
    assert crop(late, [*BUSY, (date(2199, 1, 1), 1)]) == Span(BUSY_START, datetime(2026, 3, 29, tzinfo=UTC))
    both = Span(DATA.start, late.end)
    assert crop(both, [*old, *BUSY, (date(2199, 1, 1), 1)]) == Span(BUSY_START, datetime(2026, 3, 29, tzinfo=UTC))


BUSY_START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "days",
    [
        [],
        [(date(2000, 1, 1), 1)],
        [(date(2000, 1, 1), 100), *BUSY],  # a part that counts: one in thirty
        [(date(2025, 12, 20), 1), *BUSY],  # not long before
        [(date(2025, 3, 1) + timedelta(days=number), 1) for number in range(365)] + BUSY,  # little, but every day
        [(date(2000, 1, 1) + timedelta(days=300 * number), 1) for number in range(32)],  # rare all the time
    ],
)
def test_all_else_stays_in_a_chart(days: list[tuple[date, int]]) -> None:
    assert crop(DATA, days) == DATA


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (3600, "1 h"), (8640, "2 h 24 min"), (90061, "1 d 1 h"), (-5, "0 s")],
)
def test_how_long_it_takes_is_said_in_two_units(seconds: int, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(60, "1 minute"), (86400, "1 day"), (7200, "2 hours"), (90, "90 seconds")]
)
def test_a_window_is_said_in_its_largest_whole_unit(seconds: int, text: str) -> None:
    assert format_window(seconds) == text
