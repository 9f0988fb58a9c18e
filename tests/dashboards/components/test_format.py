"""Figures and periods, without a warehouse."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from dashboards import periods
from dashboards.components import format
from dashboards.periods import Span, choose_bar_s, choose_period, format_span, resolve

NOW = datetime(2026, 3, 31, 15, 30, tzinfo=UTC)
DATA = Span(datetime(2023, 11, 16, 18, 17, tzinfo=UTC), datetime(2023, 11, 16, 19, 14, tzinfo=UTC))


@pytest.mark.parametrize(
    ("amount", "rounded", "all_digits"),
    [
        ("1234.5678", "$1,234.57", "$1,234.5678"),
        ("0", "$0.00", "$0.00"),
        ("0.000000000001", "$0.000000000001", "$0.000000000001"),
        ("0.00012345678", "$0.0001235", "$0.00012345678"),
        ("-2.5", "−$2.50", "−$2.50"),
        ("9" * 26 + ".000000000001", f"${10**26 - 1:,}.00", f"${10**26 - 1:,}.000000000001"),
    ],
)
def test_money_keeps_its_digits(amount: str, rounded: str, all_digits: str) -> None:
    assert format.money(Decimal(amount), "USD") == rounded
    assert format.exact(Decimal(amount), "USD") == all_digits


def test_unpriced_is_not_zero() -> None:
    assert format.money(None, "USD") == format.exact(None, "USD") == "unpriced"
    assert format.money(Decimal("1.5"), "CHF") == "1.50 CHF"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (999_999, "999,999"),
        (1_000_000, "1.000M"),
        (37_224_408, "37.22M"),
        (987_654_321, "987.7M"),
        (12_345_678_901, "12.35B"),
    ],
)
def test_counts_fit_a_headline(number: int, text: str) -> None:
    assert format.short(number) == text


def test_change_is_said_in_percent_or_in_times() -> None:
    assert format.change(Decimal("112.3"), Decimal(100)) == "+12.3%"
    assert format.change(50, 100) == "−50.0%"
    assert format.change(5, 0) == "new"
    assert format.change(0, 0) is None
    assert format.change(5000, 10) == "×500"


def test_rates_and_shares() -> None:
    assert format.per_million(Decimal("1.5"), 500_000) == Decimal("3.0000")
    assert format.per_million(Decimal("1.5"), 0) is None
    assert format.percent(1, 3) == Decimal("33.3")
    assert format.percent(1, 0) == 0


def test_rolling_periods_are_compared_with_what_lies_before_them() -> None:
    now, before = resolve("7d", NOW, DATA)
    assert now == Span(NOW - timedelta(days=7), NOW)
    assert before == Span(NOW - timedelta(days=14), NOW - timedelta(days=7))


def test_a_part_of_a_day_or_month_is_compared_with_the_same_part() -> None:
    _, yesterday = resolve("today", NOW, DATA)
    assert yesterday == Span(datetime(2026, 3, 30, tzinfo=UTC), NOW - timedelta(days=1))
    _, february = resolve("month", NOW, DATA)
    assert february == Span(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))


def test_a_range_has_whole_days_and_all_is_where_the_data_are() -> None:
    now, before = resolve("range", NOW, DATA, (date(2023, 11, 16), date(2023, 11, 17)))
    assert now == Span(datetime(2023, 11, 16, tzinfo=UTC), datetime(2023, 11, 18, tzinfo=UTC))
    assert before is not None and before.end == now.start and before.length == now.length
    assert resolve("all", NOW, DATA) == (DATA, None)
    assert resolve("range", NOW, DATA, ()) == (DATA, None), "no day chosen yet"
    assert resolve("range", NOW, DATA, (date(2023, 11, 17), date(2023, 11, 16))) == (now, before), "a link, reversed"


def test_a_page_opens_where_there_is_something() -> None:
    assert choose_period(NOW, DATA) == "all"
    assert choose_period(NOW, Span(DATA.start, NOW - timedelta(days=6))) == "7d"


def test_a_chart_has_at_most_some_eighty_bars() -> None:
    assert choose_bar_s(DATA) == 60
    for days in (0.001, 0.1, 1, 7, 30, 365, 2000):
        span = Span(NOW - timedelta(days=days), NOW)
        assert span.length.total_seconds() / choose_bar_s(span) <= 81


def test_a_span_is_spoken_as_people_do() -> None:
    assert format_span(DATA) == "16 Nov 2023, 18:17 – 19:14 UTC"
    assert (
        format_span(Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)))
        == "1 Jan 2026 – 31 Jan 2026"
    )
    day = Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    assert format_span(day) == "1 Jan 2026"
    assert format_span(Span(day.start, day.end + timedelta(days=1))) == "1 Jan 2026 – 2 Jan 2026"


def test_a_rolling_week_is_spoken_with_its_times() -> None:
    """Else it ends on the day on which the next one begins, and that day seems to count in both."""
    end = datetime(2026, 1, 8, 20, 30, tzinfo=UTC)
    assert format_span(Span(end - timedelta(days=7), end)) == "1 Jan 2026, 20:30 – 8 Jan, 20:30 UTC"


def test_now_is_shared_by_all_who_look() -> None:
    before, clock, after = datetime.now(UTC), periods.read_clock(), datetime.now(UTC)
    assert before < clock <= after + timedelta(seconds=2)
    assert clock.second % 2 == clock.microsecond == 0


def test_whole_minutes_hold_the_span() -> None:
    assert Span(NOW + timedelta(seconds=59), NOW + timedelta(seconds=61)).whole_minutes() == Span(
        NOW, NOW + timedelta(minutes=2)
    )
