"""Charts as HTML: bars stand where their times and heights say, and the labels of their axes differ."""

import re
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from dashboards.components.axes import MAX_STEPS, MAX_TIME_TICKS, build_amount_axis, build_time_ticks
from dashboards.components.bar_chart import Section, render_bars

START = datetime(2026, 10, 25)
DAY = timedelta(days=1)


@pytest.mark.parametrize("currency", ["USD", "CHF", "", None])
@pytest.mark.parametrize(
    ("lowest", "highest"),
    [
        (0, 0),
        (0, 1),
        (0, 7),
        (0, 0.3),
        (0, 1e-9),
        (0, 12_345),
        (0, 3.1e9),
        (-5, 20),
        (-3e-7, 0),
        (-1e6, 1e6),
        (0, 1e15),
    ],
)
def test_an_axis_holds_all_amounts_and_its_labels_differ(lowest: float, highest: float, currency: str | None) -> None:
    axis = build_amount_axis(lowest, highest, currency)
    assert axis.lowest <= lowest + 1e-12 * abs(lowest) and axis.highest >= highest - 1e-9 * highest
    labels = [tick.label for tick in axis.ticks]
    assert len(set(labels)) == len(labels) and 2 <= len(labels) <= MAX_STEPS + 1
    assert [axis.ticks[0].place, axis.ticks[-1].place] == [0, 1]
    assert currency is not None or all("." not in label for label in labels if label[-1].isdigit())


def test_a_currency_stands_where_people_write_it() -> None:
    assert build_amount_axis(0, 4, "USD").ticks[-1].label == "$4.00"
    assert build_amount_axis(0, 4, "CHF").ticks[-1].label == "4.00 CHF"
    assert build_amount_axis(0, 2_000_000).ticks[-1].label == "2M"


@pytest.mark.parametrize(
    ("length", "labels"),
    [
        (timedelta(seconds=40), ["25 Oct", "00:00:05"]),
        (timedelta(hours=24), ["25 Oct", "03:00"]),
        (7 * DAY, ["25 Oct", "26 Oct"]),
        (30 * DAY, ["25 Oct", "1 Nov"]),
        (400 * DAY, ["Jan 2027", "1 Apr"]),
        (26 * 365 * DAY, ["Jan 2030", "Jan 2035"]),
    ],
)
def test_times_have_labels_of_whole_units(length: timedelta, labels: list[str]) -> None:
    ticks = build_time_ticks(START, START + length)
    assert len(ticks) <= MAX_TIME_TICKS + 1
    assert all(before.place < after.place for before, after in pairwise(ticks))
    assert [tick.label for tick in ticks][:2] == labels


def test_bars_stand_on_each_other_within_the_chart() -> None:
    sections = [
        Section(START - DAY, START + DAY, 3.0, "red", ("first",)),
        Section(START - DAY, START + DAY, 1.0, "blue", ("second", "<b>&")),
        Section(START + DAY, START + 2 * DAY, -1.0, "red", ("third",)),
        Section(START + 5 * DAY, START + 6 * DAY, 9.0, "red", ("beyond",)),
        Section(START, START + DAY, 0.0, "red", ("nothing",)),
    ]
    chart = render_bars(sections, START, START + 4 * DAY, "Spend", "USD")
    assert "beyond" not in chart and "nothing" not in chart
    assert 'title="second&#10;&lt;b&gt;&amp;"' in chart
    number = r"([\d.]+)%"
    places = re.findall(rf"left:{number};width:calc\({number} - 1px\);bottom:{number};height:{number}", chart)
    assert [tuple(map(float, place)) for place in places] == [
        (0.0, 25.0, 20.0, 60.0),
        (0.0, 25.0, 80.0, 20.0),
        (25.0, 25.0, 0.0, 20.0),
    ]
