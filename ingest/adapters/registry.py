"""The formats that can be imported, each known by the beginning of a file, or by its name."""

from difflib import get_close_matches
from importlib import import_module

from ingest.adapters.adapter import Format, TraceLine
from ingest.adapters.head import read_head
from ingest.adapters.response_files import list_response_formats, make_response_format
from ledger.errors import TallyError
from ledger.file_formats import FILE_FORMATS

__all__ = ["FORMATS", "Format", "TraceLine", "find_format", "get_format", "recognize_format"]

FORMATS: tuple[Format, ...] = tuple(
    import_module(f"ingest.adapters.{file_format.adapter}").FORMAT for file_format in FILE_FORMATS
)


def find_format(beginning: bytes, *, is_cut: bool = False) -> Format | None:
    """Return the format of a file by its beginning, without byte order mark; None where no format fits. ``is_cut``
    where the first line goes on."""
    head = read_head(beginning, is_cut=is_cut)
    return next((candidate for candidate in FORMATS if candidate.recognises(head)), None)


def recognize_format(beginning: bytes, name: str, *, is_cut: bool = False) -> Format:
    """Return the format of the file ``name``. TallyError where no format fits."""
    candidate = find_format(beginning, is_cut=is_cut)
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
    if name in list_response_formats():
        return make_response_format(name)
    names = [*(candidate.name for candidate in FORMATS), *list_response_formats()]
    near = get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise TallyError(f"--format {name!r} is no format: use one of {', '.join(names)}{hint}")
