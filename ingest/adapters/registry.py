"""The formats that can be imported, each known by the first line of a file."""

from ingest.adapters import azure_llm_trace, cloudevents, mooncake_trace
from ingest.adapters.adapter import Format, TraceLine
from ledger.errors import TallyError

__all__ = ["FORMATS", "Format", "TraceLine", "recognize_format"]

FORMATS: tuple[Format, ...] = (azure_llm_trace.FORMAT, mooncake_trace.FORMAT, cloudevents.FORMAT)


def recognize_format(first: bytes, name: str) -> Format:
    """Return the format of a file by its first line, without terminator. TallyError where no format fits."""
    for candidate in FORMATS:
        if candidate.recognises(first):
            return candidate
    descriptions = "; ".join(f"{candidate.name}: {candidate.known_by}" for candidate in FORMATS)
    raise TallyError(
        f"{name} is of no known format. A file is recognized by its first line; the formats are {descriptions}"
    )
