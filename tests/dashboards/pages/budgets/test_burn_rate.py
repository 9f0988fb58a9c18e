"""The burn rate of a budget, and its forecast."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import periods
from dashboards.pages.budgets.burn_rate import compute_burn

ENDS = datetime(2026, 1, 5, 13, 1, tzinfo=UTC)
HOUR = [Decimal(0)] * 61


def window(**spend: int) -> list[Decimal]:
    """An hour's buckets, with dollars so many minutes ago."""
    return [Decimal(spend.get(f"ago_{60 - minute}", 0)) for minute in range(61)]


def test_the_rate_is_that_of_the_last_tenth_and_of_the_bucket_under_way() -> None:
    burn = compute_burn(window(ago_0=1, ago_6=6, ago_7=100), Decimal(1000), 60, ENDS - timedelta(seconds=30), ENDS)
    assert burn.seconds == 390
    assert burn.per_hour == Decimal("64.615384615385")


def test_the_limit_is_reached_where_the_rate_outruns_what_falls_out() -> None:
    clock = ENDS - timedelta(seconds=60)
    steady = [Decimal(1)] * 60 + [Decimal(0)]
    assert compute_burn(steady, Decimal(70), 60, clock, ENDS).limit_reached_at is None, "what comes falls out again"
    assert compute_burn(steady, Decimal(70), 60, clock, ENDS).steady_spend == 60
    rising = window(**{f"ago_{minute}": 2 for minute in range(1, 7)})
    assert compute_burn(rising, Decimal(70), 60, clock, ENDS).limit_reached_at == clock + timedelta(minutes=29)
    assert compute_burn(rising, Decimal(12), 60, clock, ENDS).limit_reached_at is None, "it has been reached"
    assert compute_burn(HOUR, Decimal(1), 60, clock, ENDS).limit_reached_at is None


@given(
    st.lists(st.integers(0, 50), min_size=61, max_size=61), st.integers(1, 3000), st.integers(1, 60), st.integers(0, 59)
)
def test_reached_is_the_first_moment_at_which_the_window_holds_the_limit(
    spend: list[int], limit: int, bucket_s: int, back_s: int
) -> None:
    clock = ENDS - timedelta(seconds=min(back_s, bucket_s))
    burn = compute_burn([Decimal(amount) for amount in spend], Decimal(limit), bucket_s, clock, ENDS)
    rate = sum(spend[-7:]) / burn.seconds

    def holds(moment: datetime) -> float:
        expired_count = max(0, -int((ENDS - moment).total_seconds() // bucket_s))
        return (
            sum(spend[expired_count:]) + rate * (moment - clock).total_seconds()
            if expired_count <= 61
            else rate * 61 * bucket_s
        )

    if sum(spend) >= limit:
        assert burn.limit_reached_at is None
    elif burn.limit_reached_at is None:
        assert all(
            holds(clock + timedelta(seconds=moment)) < limit + 1e-6 for moment in range(0, 61 * bucket_s, bucket_s)
        )
    else:
        assert holds(burn.limit_reached_at + timedelta(seconds=1)) > limit - rate * bucket_s - 1e-6
        before = (
            clock + timedelta(seconds=moment) for moment in range(int((burn.limit_reached_at - clock).total_seconds()))
        )
        assert all(holds(moment) < limit + 1e-6 for moment in before)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (3600, "1 h"), (8640, "2 h 24 min"), (90061, "1 d 1 h"), (-5, "0 s")],
)
def test_how_long_it_takes_is_said_in_two_units(seconds: int, text: str) -> None:
    assert periods.format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(60, "1 minute"), (86400, "1 day"), (7200, "2 hours"), (90, "90 seconds")]
)
def test_a_window_is_said_in_its_largest_whole_unit(seconds: int, text: str) -> None:
    assert periods.format_window(seconds) == text
