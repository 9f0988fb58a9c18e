"""Times in the spellings that a mapping names. Pure.

Every spelling is tried. A text that two of them read as two moments is refused, so nothing is guessed; a count in one
of several units is that whose moment lies between 2000 and 2200, and no count has two.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ingest.adapters.cells import EPOCH
from ingest.intake.rejection import Rejection
from tallystick.vocabulary.base import EARLIEST, LATEST, decimal_of

UNITS = {"s": Decimal(10**6), "ms": Decimal(10**3), "us": Decimal(1), "ns": Decimal("0.001")}
"""Microseconds of each unit."""
Unit = Literal["iso", "s", "ms", "us", "ns"]

_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?)(?: ?(Z|z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?))?)?"
)
_MAX_COUNT = 10**20
_COUNT = re.compile(r"[0-9]{9,19}(\.[0-9]+)?")
_SPACES = str.maketrans("\u00a0\u202f\u2009", "   ")
"""Spaces that browsers write between a time and AM or PM."""


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("is no zone of the IANA database, such as UTC or Europe/Berlin") from None
    return name


class Moment(BaseModel):
    """The time of a row: ``unit`` is iso, or s, ms, us or ns since 1970; ``format`` is one of strptime; both may be
    several, and iso is meant where neither is named. A time without a zone is in ``zone``, and so is the day of a date
    alone, which is its first moment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: Annotated[str, Field(min_length=1, max_length=256)]
    unit: Unit | Annotated[list[Unit], Field(min_length=1)] | None = None
    format: str | Annotated[list[str], Field(min_length=1)] | None = None
    zone: Annotated[str, AfterValidator(_check_zone)] | None = None

    @property
    def units(self) -> tuple[str, ...]:
        if self.unit is None:
            return () if self.format is not None else ("iso",)
        return (self.unit,) if isinstance(self.unit, str) else tuple(self.unit)

    @property
    def formats(self) -> tuple[str, ...]:
        return (self.format,) if isinstance(self.format, str) else tuple(self.format or ())

    def describe(self) -> str:
        """Describe the spellings for a sentence."""
        words = [{"iso": "ISO 8601"}.get(unit, f"{unit} since 1970") for unit in self.units]
        return ", ".join([*words, *self.formats])


class _NoZone(ValueError):
    """A time that would be read, had the mapping a zone."""


class TimeReader:
    """Reads the times of a mapping's column."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self._zone = ZoneInfo(moment.zone) if moment.zone is not None else None
        counts = [unit for unit in moment.units if unit != "iso"]
        self._spellings: list[Callable[[Any], datetime]] = [_parse_iso] if "iso" in moment.units else []
        self._spellings += [_make_count_reader(unit, is_bounded=len(counts) > 1) for unit in counts]
        self._spellings += [_make_format_reader(text) for text in moment.formats]

    def read(self, value: Any) -> datetime:
        """Return the moment in UTC. Raises Rejection, which names what the mapping could say."""
        has_no_zone = False
        moments: set[datetime] = set()
        if isinstance(value, date):  # of Parquet; a datetime is a date
            value = value if isinstance(value, datetime) else datetime.combine(value, time())
            spellings: Sequence[Callable[[Any], datetime]] = [_return_moment]
        else:
            spellings = self._spellings
            value = value.translate(_SPACES).strip() if isinstance(value, str) else value
        for spelling in spellings:
            try:
                moments.add(self._apply_zone(spelling(value)))
            except _NoZone:
                has_no_zone = True
            except (ValueError, OverflowError, InvalidOperation, TypeError):
                continue
        if len(moments) == 1:
            return moments.pop()
        raise Rejection(self._moment.column, self._explain(value, has_no_zone, moments))

    def _apply_zone(self, moment: datetime) -> datetime:
        if moment.tzinfo is None:
            if self._zone is None:
                raise _NoZone
            moment = moment.replace(tzinfo=self._zone)
        return moment.astimezone(UTC)

    def _explain(self, value: Any, has_no_zone: bool, moments: set[datetime]) -> str:
        if moments:
            first, second, *_ = sorted(moments)
            return (
                f"is {first.isoformat()} in one spelling of the mapping and {second.isoformat()} in another: name the "
                "one that is meant"
            )
        if has_no_zone:
            return "has no zone: say one in the mapping, such as `time: {zone: UTC}`"
        reason = f"is not a time in the form of the mapping ({self._moment.describe()})"
        if _COUNT.fullmatch(str(value)) and "iso" in self._moment.units:
            return f"{reason}, and may be a count since 1970: say `unit: [iso, s]`, or ms, us or ns"
        return reason


def _return_moment(value: datetime) -> datetime:
    return value


def _parse_iso(value: Any) -> datetime:
    """Read a date, or a date with its time of day, in any of the ways in which databases write it. ValueError where it
    is none."""
    match = _ISO.fullmatch(str(value))
    if match is None:
        raise ValueError
    day, clock, zone = match.groups()
    if clock is None:
        return datetime.fromisoformat(day)
    zone = "+00:00" if zone in ("Z", "z", "UTC", "GMT") else zone or ""
    return datetime.fromisoformat(f"{day}T{clock}{zone}")


def _make_count_reader(unit: str, *, is_bounded: bool) -> Callable[[Any], datetime]:
    def read(value: Any) -> datetime:
        if isinstance(value, bool):
            raise ValueError
        count = decimal_of(value, exponent=True) if isinstance(value, str) else Decimal(str(value))
        if not abs(count) < _MAX_COUNT:  # before an exponent makes an integer of a gigabyte
            raise ValueError
        moment = EPOCH + timedelta(microseconds=int(count * UNITS[unit]))
        if is_bounded and not EARLIEST <= moment < LATEST:
            raise ValueError
        return moment

    return read


def _make_format_reader(text: str) -> Callable[[Any], datetime]:
    text = text.translate(_SPACES)

    def read(value: Any) -> datetime:
        spelled = str(value)
        if any(letter.isdigit() and not letter.isascii() for letter in spelled):  # strptime takes them
            raise ValueError
        return datetime.strptime(spelled, text)

    return read
