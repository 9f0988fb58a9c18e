"""Periods of event time, in UTC: presets, the period before, and the bars of a chart."""

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

PERIODS = {
    "hour": "Last hour",
    "today": "Today",
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "month": "This month",
    "all": "All",
    "range": "Range",
}
"""Values of ``period`` in a link, with their labels."""

_ROLLING = {
    "hour": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_STEPS = (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86400, 7 * 86400, 28 * 86400)
_MAX_BARS = 80


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


def resolve(name: str, now: datetime, data: Span, days: tuple[date, ...] = ()) -> Period:
    """Return the span of a period's name at a moment, and the span before it.

    ``data`` is where the ledger has calls (for ``all``), ``days`` the first and the last day of a range. A part
    of today or of this month is compared with the same part of the one before.
    """
    if name in _ROLLING:
        span = Span(now - _ROLLING[name], now)
        return Period(span, Span(span.start - span.length, span.start))
    if name == "today":
        span = Span(_find_midnight(now.date()), now)
        return Period(span, Span(span.start - timedelta(days=1), now - timedelta(days=1)))
    if name == "month":
        span = Span(_find_midnight(now.date().replace(day=1)), now)
        start = _find_midnight((span.start - timedelta(days=1)).date().replace(day=1))
        return Period(span, Span(start, min(start + span.length, span.start)))
    if name == "range" and days:
        span = Span(_find_midnight(min(days)), _find_midnight(max(days)) + timedelta(days=1))
        return Period(span, Span(span.start - span.length, span.start))
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


def format_span(span: Span) -> str:
    """Format a span: ``16 Nov 2023, 18:15 – 19:10 UTC``."""
    start, end = span.start.astimezone(UTC), span.end.astimezone(UTC)
    if end - start > timedelta(days=2):
        last = end - timedelta(microseconds=1)
        return f"{start:%-d %b %Y} – {last:%-d %b %Y}"
    if start.date() == end.date():
        return f"{start:%-d %b %Y, %H:%M} – {end:%H:%M} UTC"
    return f"{start:%-d %b %Y, %H:%M} – {end:%-d %b, %H:%M} UTC"


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


def _floor_minute(time_point: datetime) -> datetime:
    return time_point.replace(second=0, microsecond=0)


def _find_midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
