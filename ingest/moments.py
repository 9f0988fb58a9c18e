"""Moments: microseconds since 1970 in decisions, RFC 3339 in records and answers."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_time_us(text: str) -> int:
    """Return a moment of a control record in microseconds since 1970."""
    return count_us(datetime.fromisoformat(text.upper()))


def count_us(moment: datetime) -> int:
    """Return a moment in microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def write_time(time_us: int) -> str:
    """Write a moment for an answer."""
    return (EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")
