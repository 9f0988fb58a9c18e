"""Periods of event time: presets, the period before, and the bars of a chart. Days are those of a time zone, UTC unless
it is given."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

PERIODS = ("hour", "today", "24h", "7d", "30d", "month", "all", "range")
"""Values of ``period`` in a link."""

_ROLLING = {
    "hour": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_STEPS = (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86400, 7 * 86400, 28 * 86400)
_MAX_BARS = 80
_MAX_OUTLIER_PERCENT = 1
_MIN_CROP_DAYS = 92
_MAX_TIMED = timedelta(days=31)


class Span(NamedTuple):
    """A span of time from ``start`` (inclusive) to ``end`` (exclusive)."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def whole_minutes(self) -> "Span":
        """Return the whole minutes that this span touches."""
        minute = timedelta(minutes=1)
        return Span(_floor_minute(self.start), _floor_minute(self.end + minute))


class Period(NamedTuple):
    """The span shown, and the span before it to compare with, if there is one."""

    now: Span
    before: Span | None


def resolve(name: str, now: datetime, data: Span, days: tuple[date, ...] = (), zone: tzinfo = UTC) -> Period:
    """Return the span of a period's name at a moment, and the span before it.

    ``data`` is where the ledger has calls (for ``all``), ``days`` the first and the last day of a range, in ``zone``. A
    part of today or of this month is compared with the same part of the one before.
    """
    today = now.astimezone(zone).date()
    if name in _ROLLING:
        span = Span(now - _ROLLING[name], now)
        return Period(span, Span(span.start - span.length, span.start))
    if name == "today":
        span = Span(find_midnight(today, zone), now)
        start = find_midnight(today - timedelta(days=1), zone)
        return Period(span, Span(start, min(start + span.length, span.start)))
    if name == "month":
        first_day = today.replace(day=1)
        span = Span(find_midnight(first_day, zone), now)
        start = find_midnight((first_day - timedelta(days=1)).replace(day=1), zone)
        return Period(span, Span(start, min(start + span.length, span.start)))
    if name == "range" and days:
        first_day, end_day = min(days), max(days) + timedelta(days=1)
        span = Span(find_midnight(first_day, zone), find_midnight(end_day, zone))
        return Period(span, Span(find_midnight(first_day - (end_day - first_day), zone), span.start))
    return Period(data, None)


def read_clock() -> datetime:
    """Return the time, rounded up to an even second, so that viewers share an answer and miss no call."""
    now = int(datetime.now(UTC).timestamp())
    return datetime.fromtimestamp(now - now % 2 + 2, UTC)


def choose_period(now: datetime, data: Span) -> str:
    """Return the period that the overview opens with: a week, or everything where the week is empty."""
    return "7d" if data.end > now - _ROLLING["7d"] else "all"


def choose_bar_s(span: Span) -> int:
    """Return the seconds of one bar of a chart over this span, so that it has about 80 bars at most."""
    seconds = span.length.total_seconds()
    return next((size for size in _STEPS if seconds / size <= _MAX_BARS), _STEPS[-1])


def choose_bar(span: Span) -> int | str:
    """Return the size of one bar of a chart over this span: seconds, or ``day``, ``week``, ``month`` of a time zone."""
    seconds = span.length.total_seconds()
    if seconds / _STEPS[-4] <= _MAX_BARS:
        return choose_bar_s(span)
    days = seconds / 86400
    return "day" if days <= _MAX_BARS else "week" if days <= 7 * _MAX_BARS else "month"


def end_bar(start: date, bar: str) -> date:
    """Return the day after a bar of days, a week or a month that begins at a day."""
    if bar == "month":
        return (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return start + timedelta(days=7 if bar == "week" else 1)


def crop(span: Span, days: Sequence[tuple[date, int]]) -> Span:
    """Return the part of a span that a chart shows, so that a lone call of another year does not stretch it.

    ``days`` are those of UTC with calls, in order, with their number. What lies before or after is left out if it has
    one in a hundred calls at most, is empty on three days of four, and is three times as long as the rest, or longer.
    """
    ordinals = [(day.toordinal(), calls) for day, calls in days]
    total = sum(calls for _, calls in days)
    first, end = 0, len(days)
    for _ in range(2):  # what lies before may be short beside what lies after, until that is left out
        first += _count_outliers(ordinals[first:end], total)
        end -= _count_outliers([(-day, calls) for day, calls in reversed(ordinals[first:end])], total)
    return Span(
        max(span.start, find_midnight(days[first][0])) if first else span.start,
        min(span.end, find_midnight(days[end - 1][0]) + timedelta(days=1)) if end < len(days) else span.end,
    )


def format_span(span: Span, zone: tzinfo = UTC) -> str:
    """Format a span: ``16 Nov 2023, 18:15 – 19:10 UTC``; whole days, and spans of more than a month, by their days."""
    start, end = span.start.astimezone(zone), span.end.astimezone(zone)
    if start.time() == end.time() == time() or end - start > _MAX_TIMED:
        last = end - timedelta(microseconds=1)
        return f"{start:%-d %b %Y} – {last:%-d %b %Y}" if start.date() != last.date() else f"{start:%-d %b %Y}"
    if start.date() == end.date():
        return f"{start:%-d %b %Y, %H:%M} – {end:%H:%M} {zone}"
    return f"{start:%-d %b %Y, %H:%M} – {end:%-d %b, %H:%M} {zone}"


def format_window(seconds: int) -> str:
    """Format the length of a window: ``1 day``, ``90 seconds``."""
    units = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next((size, unit) for size, unit in units if seconds % size == 0)
    return f"{seconds // size} {unit}{'s' * (seconds != size)}"


def format_duration(time: timedelta) -> str:
    """Format a duration to its two largest units: ``2 h 24 min``."""
    seconds = max(0, int(time.total_seconds()))
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next((index for index, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number) or "0 s"


def find_zone(name: str) -> ZoneInfo:
    """Return the time zone of a name; UTC where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def find_midnight(day: date, zone: tzinfo = UTC) -> datetime:
    """Return the moment, in UTC, at which a day begins in a time zone."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _count_outliers(days: Sequence[tuple[int, int]], total: int) -> int:
    """Count the first days that a chart leaves out."""
    number = calls_before = 0
    for index, (_, calls) in enumerate(days[:-1], 1):
        calls_before += calls
        if calls_before * 100 > total * _MAX_OUTLIER_PERCENT:
            break
        lead, rest_days = days[index][0] - days[0][0], days[-1][0] - days[index][0] + 1
        if lead >= max(_MIN_CROP_DAYS, 3 * rest_days) and 4 * index <= lead:
            number = index
    return number


def _floor_minute(time_point: datetime) -> datetime:
    return time_point.replace(second=0, microsecond=0)
