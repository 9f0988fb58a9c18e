"""The formats that can be imported, each known by the beginning of a file, or by its name."""

from difflib import get_close_matches
from importlib import import_module

from ingest.adapters.adapter import Format, TraceLine
from ingest.adapters.head import Head
from ingest.adapters.response_files import make_response_format
from ledger.errors import TallyError
from ledger.file_formats import FILE_FORMATS
from tallystick.usage.reader import list_forms

__all__ = ["FORMATS", "Format", "TraceLine", "find_format", "get_format", "recognize_format"]

FORMATS: tuple[Format, ...] = tuple(
    import_module(f"ingest.adapters.{file_format.adapter}").FORMAT for file_format in FILE_FORMATS
)


def find_format(head: Head) -> Format | None:
    """Return the format of a file by its beginning; None where no format fits."""
    return next((candidate for candidate in FORMATS if candidate.recognises(head)), None)


def recognize_format(head: Head, name: str) -> Format:
    """Return the format of the file ``name``. TallyError where no format fits."""
    candidate = find_format(head)
    if candidate is not None:
        return candidate
    descriptions = "".join(f"\n  {candidate.name}: {candidate.known_by}" for candidate in FORMATS)
    raise TallyError(
        f"{name} is of no known format. Map its columns with --mapping (docs/import.md), or name a format with "
        f"--format. Formats are recognized by the beginning of a file:{descriptions}"
    )


def get_format(name: str) -> Format:
    """Return the format of that name, also of a form of usage. TallyError with the names where there is none."""
    for candidate in FORMATS:
        if candidate.name == name:
            return candidate
    if name in list_forms():
        return make_response_format(name)
    names = [*(candidate.name for candidate in FORMATS), *list_forms()]
    near = get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise TallyError(f"--format {name!r} is no format: use one of {', '.join(names)}{hint}")
