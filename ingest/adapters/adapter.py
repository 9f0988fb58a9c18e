"""The interface of a source format: recognize a file by its first line, and parse its lines."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class TraceLine(NamedTuple):
    """One line of a trace: its time, and the count of tokens of each class."""

    time: datetime
    tokens: dict[str, int]


Parse = Callable[[bytes], TraceLine]
"""Reads the lines of one file in their order. Raises ``ingest.intake.rejection.Rejection``."""


@dataclass(frozen=True)
class Format:
    """A format of files. Without ``trace`` each line is an event with its own identity."""

    name: str
    known_by: str
    """The first line, in words."""
    recognises: Callable[[bytes], bool]
    classes: tuple[str, ...] = ()
    """The token classes that every line of a trace has."""
    trace: Callable[[datetime | None], Parse] | None = None
    """Make the parser of one file, given the moment at which relative times begin."""
    has_header: bool = False
    """The first line is a header."""
    start: datetime | None = None
    """The start of a file with relative times; None where times are absolute."""


TRACE_FIELDS = frozenset({"tokens", "adapter"})
"""Fields of an inference that every trace fills, so ``--set`` may not."""
INFERENCE_TYPE = "tallystick.inference.v1"
MAX_COUNT = 10**12
"""The greatest count that an event may carry."""
