"""The interface of a source format: recognize a file by its beginning, and read its lines or rows.

A *trace* has lines that differ in time and tokens alone (:class:`TraceLine`). A *row source* reads rows of any form as
whole events (:class:`SourceEvent`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from ingest.adapters.head import Head
from ingest.intake.rejection import Rejection


class TraceLine(NamedTuple):
    """One line of a trace: its time, and the count of tokens of each class."""

    time: datetime
    tokens: dict[str, int]


Parse = Callable[[bytes], TraceLine]
"""Reads the lines of one file in their order. Raises ``ingest.intake.rejection.Rejection``."""

Row = Mapping[str, Any]
"""A row of CSV by its header, or an object of JSON. Numbers with a fraction are decimals."""


class SourceEvent(NamedTuple):
    """An inference that a row holds: its id within the source (None: the bytes of the row), its time (None: the row has
    none), and its data."""

    id: str | None
    time: datetime | None
    data: dict[str, Any]


Read = Iterable[SourceEvent | Rejection]


class RowReader(Protocol):
    """Reads the rows of one file in their order, and remembers of them what later rows need."""

    def read(self, row: Any) -> Read:
        """Return the events of a row, or rejections of parts of it; none where it holds no call. Raises Rejection."""

    def finish(self) -> Read:
        """Return the events that waited for the end of the file."""


@dataclass(frozen=True)
class RowSource:
    """A source of whole events by rows."""

    make_reader: Callable[[str], RowReader]
    """Make the reader of one file, given the file's name without folder and extension."""
    fields: frozenset[str] = frozenset()
    """Fields that every event of the source has, so ``--set`` may not. Others are filled by ``--set`` where a row lacks
    them."""
    marks: tuple[bytes, ...] = ()
    """The reader takes bytes of lines instead of rows, and only lines that hold one of these."""
    may_lack_time: bool = False
    """Rows may have no time of their own: ``--start`` gives it."""
    has_copies: bool = False
    """Files hold copies of events of other files: those of one import are read once."""


@dataclass(frozen=True)
class Format:
    """A format of files. Without ``trace`` and ``rows`` each line is an event with its own identity."""

    name: str
    known_by: str
    """The beginning, in words."""
    recognises: Callable[[Head], bool]
    classes: tuple[str, ...] = ()
    """The token classes that every line of a trace has."""
    trace: Callable[[datetime | None], Parse] | None = None
    """Make the parser of one file, given the moment at which relative times begin."""
    has_header: bool = False
    """The first line is a header."""
    start: datetime | None = None
    """The start of a file with relative times; None where times are absolute."""
    rows: RowSource | None = None


class StatelessReader:
    """A reader of rows that stand for themselves."""

    def __init__(self, read: Callable[[Any], Read]) -> None:
        self.read = read

    def finish(self) -> Read:
        return ()


TRACE_FIELDS = frozenset({"tokens", "adapter"})
"""Fields of an inference that every trace fills, so ``--set`` may not."""
USAGE_FIELDS = frozenset(
    {
        "adapter", "adapter_version", "revision", "calls", "period_s", "left_out", "tokens", "reported_tokens",
        "provider_usage", "quantities", "usage_source", "ingress",
    }
)  # fmt: skip
"""Fields of an inference that only a source itself knows."""
INFERENCE_TYPE = "tallystick.inference.v1"
