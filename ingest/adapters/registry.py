"""The formats that can be imported, each known by the first line of a file."""

from importlib import import_module

from ingest.adapters.adapter import Format, TraceLine
from ledger.errors import TallyError
from ledger.file_formats import FILE_FORMATS

__all__ = ["FORMATS", "Format", "TraceLine", "recognize_format"]

FORMATS: tuple[Format, ...] = tuple(
    import_module(f"ingest.adapters.{file_format.adapter}").FORMAT for file_format in FILE_FORMATS
)


def recognize_format(first: bytes, name: str) -> Format:
    """Return the format of a file by its first line, without terminator. TallyError where no format fits."""
    for candidate in FORMATS:
        if candidate.recognises(first):
            return candidate
    descriptions = "; ".join(f"{candidate.name}: {candidate.known_by}" for candidate in FORMATS)
    raise TallyError(
        f"{name} is of no known format. A file is recognized by its first line; the formats are {descriptions}"
    )
