"""Decode lines of session files, of which most say nothing of usage and may have any form. Pure."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from ingest.adapters.cells import parse_time
from ingest.intake.rejection import Rejection
from ingest.surrogates import repair_surrogates

Line = TypeVar("Line")
_decode_any = msgspec.json.Decoder().decode


def decode_line(raw: bytes, decode: Callable[[bytes], Line], is_usage: Callable[[dict[str, Any]], bool]) -> Line | None:
    """Return a line; None where it is JSON of another form. Raises Rejection where it is no JSON, or where it is of
    another form although it holds usage."""
    try:
        return _decode_repaired(raw, decode)
    except UnicodeDecodeError:
        raise Rejection("", "is not UTF-8: write the file again as the program does") from None
    except msgspec.ValidationError as error:
        document = _decode_repaired(raw, _decode_any)
        if isinstance(document, dict) and is_usage(document):
            path = str(error).partition(" - at `$.")[2].rstrip("`")
            raise Rejection(path, "does not have the form of a line with usage", document) from None
        return None
    except (msgspec.DecodeError, RecursionError):
        raise Rejection("", "is not JSON: it may be cut off while it is written; import the file again") from None


def _decode_repaired(raw: bytes, decode: Callable[[bytes], Line]) -> Line:
    """Decode a line; one that was cut within a character is repaired first."""
    try:
        return decode(raw)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if (repaired := repair_surrogates(raw)) == raw:
            raise
        return decode(repaired)


def get_time(text: Any) -> datetime:
    """Return the moment of a line. Raises Rejection where it has none."""
    time = parse_time(text)
    if time is None:
        raise Rejection("timestamp", "is missing, or is no time: a line needs its time")
    return time
