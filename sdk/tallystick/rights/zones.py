"""Offsets of time zones, for limits by the calendar: what decides reads them from the grant, not from this machine."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tallystick.vocabulary.controls.grants import ZoneOffset

_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


def list_offsets(zone: str, since: datetime, until: datetime) -> tuple[ZoneOffset, ...]:
    """List the offsets of a time zone from UTC between two moments, by the tables of this machine: ``offsets`` of a
    :class:`GrantWindow`. ValueError where it knows no such zone."""
    try:
        info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"there is no time zone {zone!r}: name one as Europe/Berlin, or say UTC") from None

    def read_minutes(time: datetime) -> int:
        offset = time.astimezone(info).utcoffset()
        assert offset is not None, "a zone has an offset at each moment"
        return offset // _MINUTE

    time = since.astimezone(UTC).replace(second=0, microsecond=0)
    offsets = [ZoneOffset(since=time, minutes=read_minutes(time))]
    while time < until:
        minutes, start, time = offsets[-1].minutes, time, time + _DAY
        if read_minutes(time) != minutes:
            day = [start + number * _MINUTE for number in range(24 * 60 + 1)]
            change = day[bisect_left(day, True, key=lambda moment: read_minutes(moment) != minutes)]
            offsets.append(ZoneOffset(since=change, minutes=read_minutes(change)))
    return tuple(offsets)
