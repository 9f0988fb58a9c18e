"""The scale of a timeline (pure): busy time as it is, long idle stretches cut short. Drawing uses floats."""

import itertools
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from dashboards.periods import Span

IDLE_SHARE_MIN = 0.25
"""An idle stretch is cut where it is longer than this share of the time that is drawn."""
IDLE_MIN = timedelta(minutes=1)
MAX_CUTS = 6
CUT_WIDTH = 3.0
"""Width of an idle stretch that is cut, in percent."""


class Piece(NamedTuple):
    """A stretch of time, and where it lies on the scale, in percent."""

    span: Span
    left_percent: float
    width: float
    is_cut: bool


class TimeScale:
    """Places times from 0 to 100 percent."""

    def __init__(self, spans: Iterable[Span]) -> None:
        """Lay out the time from the first start to the last end."""
        busy = _merge(spans)
        cuts = _choose_cuts(busy)
        edges = [busy[0].start, *(time for gap in cuts for time in gap), busy[-1].end]
        stretches = [Span(start, end) for start, end in itertools.pairwise(edges)]
        drawn_time = sum((span.length for span in stretches[::2]), timedelta()) or timedelta(milliseconds=1)
        self.pieces: list[Piece] = []
        left_percent = 0.0
        for number, span in enumerate(stretches):
            is_cut = number % 2 == 1
            width = CUT_WIDTH if is_cut else (100 - CUT_WIDTH * len(cuts)) * (span.length / drawn_time)
            self.pieces.append(Piece(span, left_percent, width, is_cut))
            left_percent += width
        self.idle = sum((gap.length for gap in cuts), timedelta())

    def place(self, time: datetime) -> float:
        """Return the place of a time, in percent; the nearest one where it lies outside."""
        for piece in self.pieces:
            if time <= piece.span.end:
                share = (time - piece.span.start) / piece.span.length if piece.span.length else 0.0
                return piece.left_percent + piece.width * min(max(share, 0.0), 1.0)
        return 100.0


def measure_busy_ms(spans: Iterable[Span]) -> int:
    """Return the milliseconds that at least one of these spans covers."""
    return sum((span.length for span in _merge(spans)), timedelta()) // timedelta(milliseconds=1)


def _choose_cuts(busy: list[Span]) -> list[Span]:
    """Return the idle stretches to cut, in order of time: the longest, while one takes a large share of the rest."""
    gaps = [Span(before.end, after.start) for before, after in itertools.pairwise(busy)]
    drawn_time, cuts = busy[-1].end - busy[0].start, []
    for gap in sorted(gaps, key=lambda gap: -gap.length)[:MAX_CUTS]:
        if gap.length < max(IDLE_MIN, IDLE_SHARE_MIN * drawn_time):
            break
        cuts.append(gap)
        drawn_time -= gap.length
    return sorted(cuts)


def _merge(spans: Iterable[Span]) -> list[Span]:
    """Merge spans that overlap, in order of time."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged
