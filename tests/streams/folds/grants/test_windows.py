"""Windows, compared with the calendar of ``zoneinfo`` and with plain sums."""

import random
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from streams.folds.grants.windows import Kind, Window

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "America/Havana", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia", "Asia/Beirut",
         "America/Asuncion", "Australia/Lord_Howe", "Africa/Cairo")  # fmt: skip
KINDS: tuple[Kind, ...] = ("day", "week", "month", "quarter", "year")


def microseconds(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


@cache
def list_offsets(zone: str) -> tuple[tuple[int, int], ...]:
    """Return the offsets that a zone had from 2010 to 2027."""

    def read_offset(time_us: int) -> int:
        offset = (EPOCH + timedelta(microseconds=time_us)).astimezone(ZoneInfo(zone)).utcoffset()
        assert offset is not None
        return offset // timedelta(microseconds=1)

    start_us, day_us = microseconds(datetime(2010, 1, 1, tzinfo=UTC)), 86_400_000_000
    offsets = [(start_us, read_offset(start_us))]
    for time_us in range(start_us, start_us + 18 * 365 * day_us, day_us):
        if read_offset(time_us + day_us) != offsets[-1][1]:
            seconds = range(time_us, time_us + day_us + 1, 1_000_000)
            change_us = seconds[bisect_left(seconds, True, key=lambda moment: read_offset(moment) != offsets[-1][1])]
            offsets.append((change_us, read_offset(change_us)))
    return tuple(offsets)


def name_period(kind: str, time: datetime, first_month: int) -> tuple[int, ...]:
    match kind:
        case "day":
            return time.timetuple()[:3]
        case "week":
            return time.isocalendar()[:2]
        case "month":
            return time.year, time.month
    fiscal = time.year * 12 + time.month - first_month
    return divmod(fiscal, 12)[0], divmod(fiscal, 12)[1] // (3 if kind == "quarter" else 12)


@pytest.mark.parametrize("zone", ZONES)
def test_a_calendar_window_is_the_period_of_its_zone(zone: str) -> None:
    draw = random.Random(zone)
    for kind in KINDS:
        first_month = draw.choice((1, 4, 10))
        window = Window(kind, 0, zone, first_month, list_offsets(zone))
        changes = [since_us for since_us, _ in window.offsets]
        for _ in range(150):
            near = draw.choice(changes) + draw.randint(-36, 36) * 3_600_000_000
            a_us = max(near, changes[0])
            b_us = a_us + draw.choice((1, 1800, 3600, 86_400, 8 * 86_400, 40 * 86_400)) * 1_000_000
            a, b = (EPOCH + timedelta(microseconds=us) for us in (a_us, b_us))
            names = [name_period(kind, time.astimezone(ZoneInfo(zone)), first_month) for time in (a, b)]
            assert (window.find_bucket(a_us) == window.find_bucket(b_us)) == (names[0] == names[1]), (kind, a, b)
            assert (window.find_bucket(a_us) < window.find_bucket(b_us)) == (names[0] < names[1]), (kind, a, b)
            end_us = window.find_end(a_us)
            assert end_us is not None
            assert window.find_bucket(end_us - 1) == window.find_bucket(a_us) < window.find_bucket(end_us), (kind, a)


def test_a_rolling_window_holds_every_moment_of_its_length() -> None:
    draw = random.Random(1)
    for _ in range(2000):
        length_us = 60_000_000 * draw.randint(1, 129_600)
        window = Window("rolling", length_us)
        time_us = draw.randint(0, 2**51)
        bucket = window.find_bucket(time_us)
        assert bucket - window.find_bucket(time_us - length_us) <= window.span - 1
        end_us = window.find_end(time_us)
        later_us = window.find_end(time_us, 7)
        assert end_us is not None
        assert later_us is not None
        assert window.find_bucket(end_us) == bucket + 1
        assert window.find_bucket(end_us - 1) == bucket
        assert window.find_bucket(later_us) == bucket + 7


def test_windows_have_names() -> None:
    assert Window("rolling", 3_600_000_000).key == "3600s"
    assert Window().key == "total"
    assert Window("quarter", 0, "Europe/Berlin", 4).key == "quarter@Europe/Berlin+4"
    assert Window().find_end(5) is None
