"""Measure the present rate of the folds, by what they derive within an interval."""

import time
from typing import Any

from ledger.log import Log, records
from ledger.log.topics import ENTRIES

MIN_INTERVAL_S = 0.5
"""Minimum interval. A worker commits many records at once, so a much shorter one would measure chance."""


class FoldRate:
    """A measurement that starts when it is made."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._start = time.monotonic()
        self._ends = log.ends(ENTRIES)

    def measure(self) -> dict[str, Any]:
        """End the measurement: return its seconds, and the records and events folded per second."""
        time.sleep(max(0.0, self._start + MIN_INTERVAL_S - time.monotonic()))
        ends = self._log.ends(ENTRIES)
        seconds = time.monotonic() - self._start
        folded = lines = 0
        for partition, (before, end) in enumerate(zip(self._ends, ends, strict=True)):
            for record in records(self._log, ENTRIES, partition, before, end):
                folded += 1
                lines += record.value.count(b"\n") + 1
        # One line of each record counts the rejected events; each other line is an event.
        return {
            "seconds": round(seconds, 2),
            "records": round(folded / seconds, 1),
            "events": round((lines - folded) / seconds, 1),
        }
