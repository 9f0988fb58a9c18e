"""Files of providers' responses, one a line: a format for each form of usage, by its name (pure).

A line is a response as it came, or a list of the chunks of its stream. ``POST /v1/usage/{form}`` reads the same.
"""

from datetime import datetime

from ingest.adapters.adapter import USAGE_FIELDS, Format, RowSource, SourceEvent, StatelessReader
from ingest.adapters.usage_payloads import decode_stripped, read_call
from ingest.intake.rejection import Rejection


def make_response_format(form: str) -> Format:
    """Make the format of a form of usage. No file is recognized as one: ``--format`` names it."""

    def read_line(line: bytes) -> list[SourceEvent]:
        try:
            content = decode_stripped(line)
        except (ValueError, RecursionError):
            raise Rejection("", "is not JSON: write a response, or a list of a stream's chunks, a line") from None
        id, time, data = read_call(content if isinstance(content, list) else [content], form, {})
        return [SourceEvent(id, None if time is None else datetime.fromisoformat(time), data)]

    return Format(
        name=form,
        known_by="its name alone: a provider's response, or a list of its stream's chunks, a line (JSONL)",
        recognises=lambda head: False,
        rows=RowSource(lambda name: StatelessReader(read_line), USAGE_FIELDS, marks=(b"{",), may_lack_time=True),
    )
