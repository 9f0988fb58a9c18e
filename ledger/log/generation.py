"""Which generation of all that is derived is the current one: the newest record of its name beside the documents,
which is cheap to find.
"""

import time
from typing import NamedTuple

from ledger.errors import GenerationSuperseded
from ledger.log import Draft, Log, records
from ledger.log.topics import DOCUMENTS

KEY = "generation"
POLL_INTERVAL_S = 1.0
"""How old an answer may be, for who asks again and again."""


class Pointer(NamedTuple):
    """The number of the current generation, as the documents before this offset say it; the first one is 1, and
    nothing says so."""

    number: int = 1
    next_offset: int = 0


FIRST = Pointer()


def follow_pointer(log: Log, pointer: Pointer = FIRST) -> Pointer:
    """What is so now. Only what is new is read."""
    for record in records(log, DOCUMENTS, 0, pointer.next_offset):
        number = int(record.value) if record.key == KEY else pointer.number
        pointer = Pointer(number, record.offset + 1)
    return pointer


def read_current(log: Log) -> int:
    """The number of the current generation."""
    return follow_pointer(log).number


def activate(log: Log, generation: int) -> None:
    """Say so, unless it is said."""
    if read_current(log) != generation:
        log.append(DOCUMENTS, [Draft(0, KEY, {}, str(generation).encode())])


class GenerationWatch:
    """For who works at the generation that a log gives: whether a later one has become current."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._pointer = FIRST
        self._next_check_s = 0.0

    def check(self) -> None:
        """GenerationSuperseded where that is so. The log is asked about once a second."""
        if self._log.generation is None or time.monotonic() < self._next_check_s:
            return
        self._pointer = follow_pointer(self._log, self._pointer)
        self._next_check_s = time.monotonic() + POLL_INTERVAL_S
        if self._pointer.number > self._log.generation:
            raise GenerationSuperseded(
                f"generation {self._log.generation} of what is derived is over, as {self._pointer.number} is current: "
                "start again"
            )
