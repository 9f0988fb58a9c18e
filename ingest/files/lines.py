"""Read the lines of a file in bounded memory, whatever the file holds."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from ingest.intake.limits import MAX_LINE_BYTES
from ledger.errors import TallyError

BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line without its terminator (LF or CRLF), counted from 1. ``content`` has at most ``MAX_LINE_BYTES`` bytes
    of the ``length``."""

    number: int
    content: bytes
    length: int


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """Yield all lines but the empty ones at the end. The last line may end without a terminator; a BOM is skipped."""
    number = empty = 0
    while raw := _read_line(file, MAX_LINE_BYTES + 2):
        length = len(raw)
        while not raw.endswith(b"\n") and (chunk := _read_line(file, MAX_LINE_BYTES)):
            length += len(chunk)
            raw = raw[:MAX_LINE_BYTES] + (raw[-1:] + chunk)[-2:]  # a CR may stand before the LF
        number += 1
        content = raw.removesuffix(b"\n").removesuffix(b"\r")
        length -= len(raw) - len(content)
        if number == 1:
            content = content.removeprefix(BOM)
        if not content:
            empty += 1
            continue
        for blank in range(number - empty, number):
            yield Line(blank, b"", 0)
        empty = 0
        yield Line(number, content[:MAX_LINE_BYTES], length)


def _read_line(file: BinaryIO, max_bytes: int) -> bytes:
    try:
        return file.readline(max_bytes)
    except OSError as error:
        raise TallyError(
            f"cannot read {file.name} to its end ({error.strerror}): importing it again adds what is missing"
        ) from error
