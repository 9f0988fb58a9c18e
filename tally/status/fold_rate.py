"""How fast the folds are now: what they derived between two looks at the log."""

import time
from typing import Any

from ledger.log import Log, records
from ledger.log.topics import ENTRIES

MIN_INTERVAL_S = 0.5
"""At least how far the looks are apart. A worker commits many records at once, so much less would be chance."""


class FoldRate:
    """Looks a first time when it is made."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._start = time.monotonic()
        self._ends = log.ends(ENTRIES)

    def measure(self) -> dict[str, Any]:
        """Look again: over how many seconds, and how many records and events were folded in each of them."""
        time.sleep(max(0.0, self._start + MIN_INTERVAL_S - time.monotonic()))
        ends = self._log.ends(ENTRIES)
        seconds = time.monotonic() - self._start
        folded = lines = 0
        for partition, (before, end) in enumerate(zip(self._ends, ends, strict=True)):
            for record in records(self._log, ENTRIES, partition, before, end):
                folded += 1
                lines += record.value.count(b"\n") + 1
        # One line of each record says what the door refused beside it; the others are of an event each.
        return {
            "seconds": round(seconds, 2),
            "records": round(folded / seconds, 1),
            "events": round((lines - folded) / seconds, 1),
        }
