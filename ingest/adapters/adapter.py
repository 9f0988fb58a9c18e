"""What a format is: how a file of it is known, and what a line of it says."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class TraceLine(NamedTuple):
    """What a line of a trace says: when, and how many tokens of each class."""

    time: datetime
    tokens: dict[str, int]


Parse = Callable[[bytes], TraceLine]
"""Reads the lines of one file in their order. Raises ``ingest.refusal.Refused``."""


@dataclass(frozen=True)
class Format:
    """A format of files. Without ``trace`` its lines are events as they are, with their own identity."""

    name: str
    known_by: str
    """The first line, in words."""
    recognises: Callable[[bytes], bool]
    classes: tuple[str, ...] = ()
    """The token classes that every line of a trace says."""
    trace: Callable[[datetime | None], Parse] | None = None
    """Makes the parser of one file; it is given when relative times begin."""
    has_header: bool = False
    """Whether the first line is a header."""
    start: datetime | None = None
    """When a file begins whose times are relative; None where times are absolute."""


TRACE_FIELDS = frozenset({"tokens", "adapter"})
"""Fields of an inference that every trace says, so ``--set`` does not."""
INFERENCE_TYPE = "tallystick.inference.v1"
MAX_COUNT = 10**12
"""The greatest count that an event may carry."""
