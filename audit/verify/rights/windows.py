"""Windows: rows of buckets, rolling or of the calendar (docs/rules.md, R13.1 and R18.4)."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import msgspec

BUCKETS = 60
"""Buckets of a rolling window, beside the one in which it ends."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_PERIOD_US = 400 * 86_400_000_000


class Window(msgspec.Struct, frozen=True):
    """A window: rolling, a period of the calendar, or the life of a grant (``total``). ``offsets`` are moments with the
    offset from UTC that holds from each on; the first holds before it too."""

    kind: str = "total"
    length_us: int = 0
    zone: str = "UTC"
    first_month: int = 1
    offsets: tuple[tuple[int, int], ...] = ()

    @property
    def span(self) -> int:
        """Return the number of buckets that make a window."""
        return BUCKETS + 1 if self.kind == "rolling" else 1

    @property
    def key(self) -> str:
        """Return the part of a limit's identity that names its window."""
        match self.kind:
            case "total":
                return "total"
            case "rolling":
                return f"{self.length_us // 1_000_000}s"
        return f"{self.kind}@{self.zone}{f'+{self.first_month}' if self.first_month > 1 else ''}"

    def find_bucket(self, time_us: int) -> int:
        """Return the bucket that holds a moment."""
        if self.kind == "total":
            return 0
        if self.kind == "rolling":
            return time_us * BUCKETS // self.length_us
        offsets = [offset_us for since_us, offset_us in self.offsets if since_us <= time_us]
        offset_us = offsets[-1] if offsets else self.offsets[0][1] if self.offsets else 0
        day = (EPOCH + timedelta(microseconds=time_us + offset_us)).date()
        months = day.year * 12 + day.month - self.first_month
        return {
            "day": day.toordinal(),
            "week": (day.toordinal() - 1) // 7,  # the first day of the calendar was a Monday
            "month": months,
            "quarter": months // 3,
            "year": months // 12,
        }[self.kind]

    def find_change(self, time_us: int, buckets: int = 1) -> int | None:
        """Return the first moment so many buckets later; of the calendar the first of the next period. None where the
        window has no end."""
        bucket = self.find_bucket(time_us)
        if self.kind == "total":
            return None
        if self.kind == "rolling":
            return -(-(bucket + buckets) * self.length_us // BUCKETS)
        moments = range(time_us, time_us + MAX_PERIOD_US)
        return moments[bisect_left(moments, bucket + 1, key=self.find_bucket)]


def read_window(body: Mapping[str, Any] | None) -> Window:
    """Read the window of a limit, as a record of a grant has it."""
    if body is None:
        return Window()
    if body.get("rolling_s") is not None:
        return Window("rolling", body["rolling_s"] * 1_000_000)
    offsets = [(read_time_us(offset["since"]), offset["minutes"] * 60_000_000) for offset in body.get("offsets") or ()]
    return Window(body["calendar"], 0, body.get("zone") or "UTC", body.get("first_month") or 1, tuple(offsets))


def read_time_us(text: str) -> int:
    return (datetime.fromisoformat(text.upper()) - EPOCH) // timedelta(microseconds=1)


def sum_windows(
    read_amount: Callable[[int], int], span: int, first_bucket: int, last_bucket: int
) -> list[tuple[int, int]]:
    """List each bucket from one to another with the sum of the window that ends there."""
    amounts = map(read_amount, range(first_bucket - span + 1, last_bucket + 1))
    sums = list(accumulate(amounts, initial=0))
    return [(first_bucket + step, sums[step + span] - sums[step]) for step in range(last_bucket - first_bucket + 1)]
