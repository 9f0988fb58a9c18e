"""The current generation: the newest record of its name beside the documents, which is cheap to find."""

import time
from typing import NamedTuple

from ledger.errors import GenerationSuperseded
from ledger.log import Draft, Log, records
from ledger.log.topics import DOCUMENTS

KEY = "generation"
POLL_INTERVAL_S = 1.0
"""The greatest age of an answer for a reader that asks repeatedly."""


class Pointer(NamedTuple):
    """The number of the current generation, as the documents before ``next_offset`` name it. The first is 1, and no
    record names it."""

    number: int = 1
    next_offset: int = 0


FIRST = Pointer()


def follow_pointer(log: Log, pointer: Pointer = FIRST) -> Pointer:
    """Return the pointer as it is now. Only new records are read."""
    for record in records(log, DOCUMENTS, 0, pointer.next_offset):
        number = int(record.value) if record.key == KEY else pointer.number
        pointer = Pointer(number, record.offset + 1)
    return pointer


def read_current(log: Log) -> int:
    """Read the number of the current generation."""
    return follow_pointer(log).number


def activate(log: Log, generation: int) -> None:
    """Make a generation the current one, unless it is."""
    if read_current(log) != generation:
        log.append(DOCUMENTS, [Draft(0, KEY, {}, str(generation).encode())])


class GenerationWatch:
    """Watches for a later generation, for a process that works at the log's."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._pointer = FIRST
        self._next_check_s = 0.0

    def check(self) -> None:
        """Check for a later generation, once a second at most. GenerationSuperseded where there is one."""
        if self._log.generation is None or time.monotonic() < self._next_check_s:
            return
        self._pointer = follow_pointer(self._log, self._pointer)
        self._next_check_s = time.monotonic() + POLL_INTERVAL_S
        if self._pointer.number > self._log.generation:
            raise GenerationSuperseded(
                f"generation {self._log.generation} of what is derived is over, as {self._pointer.number} is current: "
                "start again"
            )
