"""The lines of a file, in bounded memory whatever the file holds."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from ingest.intake.limits import MAX_LINE
from ledger.errors import TallyError

BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line without its terminator (LF or CRLF), counted from 1. ``content`` has at most ``MAX_LINE`` bytes
    of the ``length``."""

    number: int
    content: bytes
    length: int


def lines(file: BinaryIO) -> Iterator[Line]:
    """All lines but the empty ones at the end. A last line may lack its terminator; a BOM is skipped."""
    number = empty = 0
    while read := _read(file, MAX_LINE + 2):
        length = len(read)
        while not read.endswith(b"\n") and (more := _read(file, MAX_LINE)):
            length += len(more)
            read = read[:MAX_LINE] + (read[-1:] + more)[-2:]  # a CR may stand before the LF
        number += 1
        content = read.removesuffix(b"\n").removesuffix(b"\r")
        length -= len(read) - len(content)
        if number == 1:
            content = content.removeprefix(BOM)
        if not content:
            empty += 1
            continue
        for blank in range(number - empty, number):
            yield Line(blank, b"", 0)
        empty = 0
        yield Line(number, content[:MAX_LINE], length)


def _read(file: BinaryIO, most: int) -> bytes:
    try:
        return file.readline(most)
    except OSError as error:
        raise TallyError(
            f"cannot read {file.name} to its end ({error.strerror}): importing it again adds what is missing"
        ) from error
