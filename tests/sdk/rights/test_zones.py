"""Offsets of time zones, as a grant states them."""

from datetime import UTC, datetime

import pytest

from tallystick.rights.zones import list_offsets
from tallystick.vocabulary.controls.grants import GrantWindow

YEAR = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def test_the_offsets_of_a_year_are_those_of_its_changes() -> None:
    offsets = list_offsets("Europe/Berlin", *YEAR)
    assert [(offset.since.isoformat(), offset.minutes) for offset in offsets] == [
        ("2026-01-01T00:00:00+00:00", 60),
        ("2026-03-29T01:00:00+00:00", 120),
        ("2026-10-25T01:00:00+00:00", 60),
    ]
    assert [offset.minutes for offset in list_offsets("Asia/Kolkata", *YEAR)] == [330]
    assert GrantWindow(calendar="month", zone="Europe/Berlin", offsets=offsets).offsets == offsets


def test_an_unknown_zone_names_the_way_out() -> None:
    for zone in ("Europe/Atlantis", "../etc/passwd", ""):
        with pytest.raises(ValueError, match="name one as Europe/Berlin, or say UTC"):
            list_offsets(zone, *YEAR)


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        ({}, "rolling_s or calendar"),
        ({"rolling_s": 60, "calendar": "day"}, "rolling_s or calendar"),
        ({"rolling_s": 60, "zone": "UTC"}, "leave them out"),
        ({"calendar": "month", "first_month": 4}, "quarter or a year"),
        ({"calendar": "month", "zone": "Europe/Berlin"}, "needs the offsets of Europe/Berlin"),
        ({"rolling_s": 90}, "multiple of 60"),
        ({"rolling_s": 90 * 86400 + 60}, "less than or equal to 7776000"),
    ],
)
def test_a_window_that_cannot_be_says_why(window: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        GrantWindow.model_validate(window)
