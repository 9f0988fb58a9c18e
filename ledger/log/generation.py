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


BEGIN = Pointer()


def followed(log: Log, known: Pointer = BEGIN) -> Pointer:
    """What is so now. Only what is new is read."""
    for record in records(log, DOCUMENTS, 0, known.next_offset):
        said = int(record.value) if record.key == KEY else known.number
        known = Pointer(said, record.offset + 1)
    return known


def current(log: Log) -> int:
    """The number of the current generation."""
    return followed(log).number


def make_current(log: Log, generation: int) -> None:
    """Say so, unless it is said."""
    if current(log) != generation:
        log.append(DOCUMENTS, [Draft(0, KEY, {}, str(generation).encode())])


class Watch:
    """For who works at the generation that a log gives: whether a later one has become current."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known = BEGIN
        self._due = 0.0

    def check(self) -> None:
        """GenerationSuperseded where that is so. The log is asked about once a second."""
        if self._log.generation is None or time.monotonic() < self._due:
            return
        self._known = followed(self._log, self._known)
        self._due = time.monotonic() + POLL_INTERVAL_S
        if self._known.number > self._log.generation:
            raise GenerationSuperseded(
                f"generation {self._log.generation} of what is derived is over, as {self._known.number} is current: "
                "start again"
            )
