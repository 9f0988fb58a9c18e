"""Times in the spellings that a mapping names; two readings of one text are refused."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest.intake.rejection import Rejection
from ingest.mapping.times import UNITS, Moment, TimeReader

TEN = datetime(2026, 11, 2, 10, tzinfo=UTC)


def read(value: Any, **moment: Any) -> datetime:
    return TimeReader(Moment(column="t", **moment)).read(value)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-11-02T10:00:00Z", {}),
        ("2026-11-02 10:00:00 UTC", {}),
        ("2026-11-02 10:00:00 GMT", {}),
        ("2026-11-02T10:00:00+0000", {}),
        ("2026-11-02 10:00:00+00", {}),
        ("2026-11-02 11:00:00 +0100", {}),
        ("2026-11-02T10:00Z", {}),
        (" 2026-11-02t10:00:00.000000000z ", {}),
        ("2026-11-02 11:00:00", {"zone": "Europe/Berlin"}),
        ("2026-11-02T10:00:00Z", {"zone": "Europe/Berlin"}),
        (datetime(2026, 11, 2, 10), {"zone": "UTC"}),
        (datetime(2026, 11, 2, 10, tzinfo=UTC), {"unit": "s"}),
        ("1793613600", {"unit": "s"}),
        (1793613600, {"unit": ["iso", "s", "ms"]}),
        ("1793613600000", {"unit": ["iso", "s", "ms"]}),
        (Decimal("1793613600.000"), {"unit": "s"}),
        ("1793613600000000000", {"unit": "ns"}),
        ("Nov 2, 2026, 10:00:00\u202fAM", {"format": "%b %d, %Y, %I:%M:%S %p", "zone": "UTC"}),
        ("02/11/2026 10:00", {"format": ["%d/%m/%Y %H:%M", "%Y/%m/%d %H:%M"], "zone": "UTC"}),
        ("2026/11/02 10:00", {"format": ["%d/%m/%Y %H:%M", "%Y/%m/%d %H:%M"], "zone": "UTC"}),
    ],
)
def test_a_time_is_read_in_any_spelling_that_is_named(value: Any, moment: Any) -> None:
    assert read(value, **moment) == TEN


def test_a_date_alone_is_the_first_moment_of_its_day_in_the_zone() -> None:
    assert read("2026-11-02", zone="Europe/Berlin") == datetime(2026, 11, 1, 23, tzinfo=UTC)
    assert read(date(2026, 11, 2), zone="UTC") == datetime(2026, 11, 2, tzinfo=UTC)
    assert read("2026-11-02T10:00:00.123456789Z") == TEN.replace(microsecond=123456)


@pytest.mark.parametrize(
    ("value", "moment", "reason"),
    [
        ("2026-11-02", {}, "has no zone: say one in the mapping"),
        ("2026-11-02 10:00:00", {}, "has no zone"),
        ("1793613600", {}, "may be a count since 1970: say `unit: [iso, s]`"),
        ("03/02/2026", {"format": ["%d/%m/%Y", "%m/%d/%Y"], "zone": "UTC"}, "name the one that is meant"),
        ("a secret", {"unit": ["iso", "ms"], "format": "%d/%m"}, "(ISO 8601, ms since 1970, %d/%m)"),
        ("5", {"unit": ["s", "ms"]}, "is not a time"),
        (Decimal("1e999999"), {"unit": "s"}, "is not a time"),
        (True, {"unit": "s"}, "is not a time"),
        ([], {"unit": "s"}, "is not a time"),
        ("2026-02-30T10:00:00Z", {}, "is not a time"),
    ],
)
def test_another_spelling_is_refused_with_the_way_out(value: Any, moment: Any, reason: str) -> None:
    with pytest.raises(Rejection) as refused:
        read(value, **moment)
    assert reason in refused.value.reason and "secret" not in refused.value.reason


@given(st.datetimes(datetime(2000, 1, 1), datetime(2199, 12, 31)), st.sampled_from(sorted(UNITS)))
def test_no_count_has_two_readings(moment: datetime, unit: str) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    count = int(int(moment.timestamp()) * 10**6 / UNITS[unit])
    assert read(str(count), unit=["iso", "s", "ms", "us", "ns"]) == moment


def test_a_spelling_is_named() -> None:
    spellings: list[dict[str, Any]] = [{"unit": []}, {"format": []}, {"unit": "days"}]
    for spelling in spellings:
        with pytest.raises(ValidationError):
            Moment(column="t", **spelling)
