"""Windows of limits: rolling ones, calendar periods of a time zone, and the whole life of a grant.

A window is a row of buckets. A rolling one is sixty of a sixtieth each and the one of the moment, so the oldest, of
which only a part lies in the window, counts whole: it is seen up to one bucket too long, never too short. A calendar
period is one bucket. A zone's offsets from UTC stand in the grant's own record, since nothing that decides reads the
tables of a machine.
"""

from datetime import date, timedelta
from typing import Literal

import msgspec

BUCKETS = 60
DAY_US = 86_400_000_000
_EPOCH_DAY = date(1970, 1, 1)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
Kind = Literal["rolling", "day", "week", "month", "quarter", "year", "total"]


class Window(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A window. ``offsets`` are (moment, offset from UTC) in microseconds, in order; the first holds before it too."""

    kind: Kind = "total"
    length_us: int = 0  # of a rolling window
    zone: str = "UTC"
    first_month: int = 1  # of quarters and years
    offsets: tuple[tuple[int, int], ...] = ()

    @property
    def span(self) -> int:
        """Return the number of buckets that make a window."""
        return BUCKETS + 1 if self.kind == "rolling" else 1

    @property
    def key(self) -> str:
        """Return the name of the window, for example ``3600s`` or ``quarter@Europe/Berlin+4``."""
        if self.kind == "rolling":
            return f"{self.length_us // 1_000_000}s"
        if self.kind == "total":
            return "total"
        return f"{self.kind}@{self.zone}" + (f"+{self.first_month}" if self.first_month > 1 else "")

    def find_bucket(self, time_us: int) -> int:
        """Return the bucket that holds a moment."""
        if self.kind == "rolling":
            return time_us * BUCKETS // self.length_us
        return 0 if self.kind == "total" else self._find_period(time_us + self._find_offset(time_us))

    def find_end(self, time_us: int, buckets: int = 1) -> int | None:
        """Return when so many buckets have passed since a moment, the one that holds it included; of a calendar window
        when its period ends. None where it never does."""
        if self.kind == "total":
            return None
        if self.kind == "rolling":
            return -(-(self.find_bucket(time_us) + buckets) * self.length_us // BUCKETS)
        start_us = self._find_local_start(self.find_bucket(time_us) + 1)
        offsets = self.offsets or ((0, 0),)
        for number, (since_us, offset_us) in enumerate(offsets):
            moment_us = start_us - offset_us if number == 0 else max(start_us - offset_us, since_us)
            is_past = number + 1 < len(offsets) and moment_us >= offsets[number + 1][0]
            if moment_us > time_us and not is_past:
                return moment_us
        raise AssertionError("the last offset has no end")

    def find_start(self, time_us: int) -> int | None:
        """Return when the bucket that holds a moment begins. None of the life of a grant."""
        if self.kind == "total":
            return None
        bucket = self.find_bucket(time_us)
        if self.kind == "rolling":
            return -(-bucket * self.length_us // BUCKETS)
        return self.find_end(self._find_local_start(bucket) - self._find_offset(time_us) - DAY_US // 2)

    def _find_offset(self, time_us: int) -> int:
        offset_us = self.offsets[0][1] if self.offsets else 0
        for since_us, later_us in self.offsets[1:]:
            if since_us > time_us:
                break
            offset_us = later_us
        return offset_us

    def _find_period(self, local_us: int) -> int:
        days = local_us // DAY_US
        if self.kind == "day":
            return days
        if self.kind == "week":
            return (days + 3) // 7  # the first day of the epoch was a Thursday
        day = _EPOCH_DAY + timedelta(days=days)
        return (day.year * 12 + day.month - self.first_month) // _MONTHS[self.kind]

    def _find_local_start(self, period: int) -> int:
        """Return the local time at which a period begins, in microseconds."""
        if self.kind == "day":
            return period * DAY_US
        if self.kind == "week":
            return (period * 7 - 3) * DAY_US
        year, month = divmod(period * _MONTHS[self.kind] + self.first_month - 1, 12)
        return (date(year, month + 1, 1) - _EPOCH_DAY).days * DAY_US
