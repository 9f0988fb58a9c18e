"""The scale of a timeline: what is idle for long is cut, and every time has its place."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboards.pages.trees.time_scale import CUT_WIDTH, TimeScale, measure_busy_ms
from dashboards.periods import Span

START = datetime(2026, 1, 1, tzinfo=UTC)


def span(start_s: float, end_s: float) -> Span:
    return Span(START + timedelta(seconds=start_s), START + timedelta(seconds=end_s))


def place(scale: TimeScale, at_s: float) -> float:
    return round(scale.place(START + timedelta(seconds=at_s)), 6)


def test_time_without_a_long_pause_is_as_it_is() -> None:
    scale = TimeScale([span(0, 10), span(12, 20)])
    assert [place(scale, at) for at in (-5, 0, 5, 11, 20, 99)] == [0, 0, 25, 55, 100, 100]
    assert not scale.idle


@pytest.mark.parametrize("pause", [timedelta(hours=1), timedelta(days=26 * 365)])
def test_a_session_that_is_resumed_is_drawn_as_if_at_once(pause: timedelta) -> None:
    later = 10 + pause.total_seconds()
    scale = TimeScale([span(0, 10), span(later, later + 10)])
    half = (100 - CUT_WIDTH) / 2
    assert scale.idle == pause and [piece.is_cut for piece in scale.pieces] == [False, True, False]
    assert [place(scale, at) for at in (10, later, later + 10)] == [half, half + CUT_WIDTH, 100]


def test_moments_without_a_duration_have_a_place() -> None:
    assert place(TimeScale([span(0, 0)]), 0) == 0
    assert [place(TimeScale([span(at, at) for at in range(5)]), at) for at in range(5)] == [0, 25, 50, 75, 100]
    days = TimeScale([span(at * 86_400, at * 86_400) for at in range(4)])
    places = [place(days, at * 86_400) for at in range(4)]
    assert places == sorted(set(places)) and 0 <= places[0] <= places[-1] <= 100


def test_places_never_run_backward() -> None:
    scale = TimeScale([span(at * at * 60, at * at * 60 + 7) for at in range(40)])
    places = [place(scale, at * 31) for at in range(4_000)]
    assert places == sorted(places) and scale.pieces[-1].left_percent + scale.pieces[-1].width == pytest.approx(100)


def test_busy_time_counts_what_overlaps_once() -> None:
    assert measure_busy_ms([span(0, 4), span(3, 5), span(9, 9.5)]) == 5_500
    assert measure_busy_ms([]) == 0
