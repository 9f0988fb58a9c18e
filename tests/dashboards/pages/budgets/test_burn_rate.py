"""How fast a budget is spent, and where that leads."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import periods
from dashboards.pages.budgets.burn_rate import burn

ENDS = datetime(2026, 1, 5, 13, 1, tzinfo=UTC)
HOUR = [Decimal(0)] * 61


def window(**spent: int) -> list[Decimal]:
    """An hour's buckets, with dollars so many minutes ago."""
    return [Decimal(spent.get(f"ago_{60 - at}", 0)) for at in range(61)]


def test_the_rate_is_that_of_the_last_tenth_and_of_the_bucket_under_way() -> None:
    told = burn(window(ago_0=1, ago_6=6, ago_7=100), Decimal(1000), 60, ENDS - timedelta(seconds=30), ENDS)
    assert told.seconds == 390
    assert told.per_hour == Decimal("64.615384615385")


def test_the_limit_is_reached_where_the_rate_outruns_what_falls_out() -> None:
    clock = ENDS - timedelta(seconds=60)
    steady = [Decimal(1)] * 60 + [Decimal(0)]
    assert burn(steady, Decimal(70), 60, clock, ENDS).reached is None, "what comes falls out again"
    assert burn(steady, Decimal(70), 60, clock, ENDS).rests == 60
    rising = window(**{f"ago_{at}": 2 for at in range(1, 7)})
    assert burn(rising, Decimal(70), 60, clock, ENDS).reached == clock + timedelta(minutes=29)
    assert burn(rising, Decimal(12), 60, clock, ENDS).reached is None, "it has been reached"
    assert burn(HOUR, Decimal(1), 60, clock, ENDS).reached is None


@given(
    st.lists(st.integers(0, 50), min_size=61, max_size=61), st.integers(1, 3000), st.integers(1, 60), st.integers(0, 59)
)
def test_reached_is_the_first_moment_at_which_the_window_holds_the_limit(
    spend: list[int], limit: int, bucket_s: int, back_s: int
) -> None:
    clock = ENDS - timedelta(seconds=min(back_s, bucket_s))
    told = burn([Decimal(one) for one in spend], Decimal(limit), bucket_s, clock, ENDS)
    rate = sum(spend[-7:]) / told.seconds

    def holds(at: datetime) -> float:
        gone = max(0, -int((ENDS - at).total_seconds() // bucket_s))
        return sum(spend[gone:]) + rate * (at - clock).total_seconds() if gone <= 61 else rate * 61 * bucket_s

    if sum(spend) >= limit:
        assert told.reached is None
    elif told.reached is None:
        assert all(holds(clock + timedelta(seconds=at)) < limit + 1e-6 for at in range(0, 61 * bucket_s, bucket_s))
    else:
        assert holds(told.reached + timedelta(seconds=1)) > limit - rate * bucket_s - 1e-6
        before = (clock + timedelta(seconds=at) for at in range(int((told.reached - clock).total_seconds())))
        assert all(holds(at) < limit + 1e-6 for at in before)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (3600, "1 h"), (8640, "2 h 24 min"), (90061, "1 d 1 h"), (-5, "0 s")],
)
def test_how_long_it_takes_is_said_in_two_units(seconds: int, said: str) -> None:
    assert periods.lasting(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(60, "1 minute"), (86400, "1 day"), (7200, "2 hours"), (90, "90 seconds")]
)
def test_a_window_is_said_in_its_largest_whole_unit(seconds: int, said: str) -> None:
    assert periods.length(seconds) == said
