"""The axes of charts that are drawn as HTML: their ticks, with labels (pure)."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil, floor, log10
from typing import NamedTuple

from dashboards.components.format import SIGNS

MAX_TIME_TICKS = 9
MAX_STEPS = 5
"""Of an axis of amounts, from tick to tick."""

_SECONDS = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
_DAYS = (1, 2, 7, 14)
_MONTHS = (1, 3, 6, 12, 24, 60, 120, 240, 600, 1200)
_PREFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


class Tick(NamedTuple):
    """A tick: its place, from 0 at the beginning of the axis to 1 at its end, and its label."""

    place: float
    label: str


class Axis(NamedTuple):
    """An axis of amounts, from one to another."""

    lowest: float
    highest: float
    ticks: list[Tick]

    def find_place(self, amount: float) -> float:
        """Return the place of an amount on the axis, from 0 to 1."""
        return (amount - self.lowest) / (self.highest - self.lowest)


def build_time_ticks(start: datetime, end: datetime) -> list[Tick]:
    """Return the ticks of an axis of time, on whole seconds, hours, days or months of the clock of both times."""
    length = end - start
    if not length:
        return []
    is_short = length < timedelta(minutes=MAX_TIME_TICKS)
    return [Tick((time - start) / length, _format_time(time, is_short)) for time in _list_times(start, end)]


def build_amount_axis(lowest: float, highest: float, currency: str | None = None) -> Axis:
    """Return the axis of amounts, which has zero and whose ticks differ however small they are; of counts, with whole
    numbers alone, where the currency is None."""
    lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    if lowest == highest or (currency is None and highest > 0):
        highest = max(highest, 1.0)
    exponent = floor(log10((highest - lowest) / MAX_STEPS))
    steps = [(factor, exponent + shift) for shift in (0, 1) for factor in (1, 2, 5)]
    if currency is None:
        steps = [(factor, power) for factor, power in steps if power >= 0] or [(1, 0)]
    for factor, power in steps:
        step = factor * 10.0**power
        first, last = floor(lowest / step + 1e-9), ceil(highest / step - 1e-9)
        if last - first <= MAX_STEPS:
            break
    ticks = [
        Tick((number - first) / (last - first), _format_amount(number * step, max(0, -power), currency))
        for number in range(first, last + 1)
    ]
    return Axis(first * step, last * step, ticks)


def _format_amount(amount: float, digits: int, currency: str | None) -> str:
    if currency is None:
        size, letter = next(((size, letter) for size, letter in _PREFIXES if abs(amount) >= size), (1, ""))
        return f"{amount / size:,.3f}".rstrip("0").rstrip(".").replace("-", "−") + letter
    figure = f"{abs(amount):,.{max(2, digits)}f}"
    sign = "−" if amount < 0 else ""
    return f"{sign}{SIGNS[currency]}{figure}" if currency in SIGNS else f"{sign}{figure} {currency}".strip()


def _list_times(start: datetime, end: datetime) -> Iterator[datetime]:
    seconds = (end - start).total_seconds()
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    steps = [timedelta(seconds=size) for size in _SECONDS] + [timedelta(days=size) for size in _DAYS]
    step = next((step for step in steps if seconds / step.total_seconds() <= MAX_TIME_TICKS), None)
    if step is None:
        yield from _list_months(start, end)
        return
    time = midnight
    if step > timedelta(days=1):  # the same days, however far a chart begins before them
        time -= timedelta(days=midnight.toordinal() % step.days)
    while time <= end:
        if time >= start:
            yield time
        time += step


def _list_months(start: datetime, end: datetime) -> Iterator[datetime]:
    months = (end.year - start.year) * 12 + end.month - start.month + 1
    step = next((size for size in _MONTHS if months / size <= MAX_TIME_TICKS), _MONTHS[-1])
    for month in range((start.year * 12 + start.month - 1) // step * step, end.year * 12 + end.month, step):
        if month >= 12 and start <= (time := datetime(month // 12, month % 12 + 1, 1)) <= end:
            yield time


def _format_time(time: datetime, is_short: bool) -> str:
    if (time.hour, time.minute, time.second) == (0, 0, 0):
        if time.day != 1:
            return f"{time:%-d %b}"
        return f"{time:%b %Y}" if time.month == 1 else f"{time:%-d %b}"
    return f"{time:%H:%M:%S}" if is_short else f"{time:%H:%M}"
