"""The formats of files that ``tally import`` recognizes: the one list of their adapters and titles (pure)."""

from typing import NamedTuple


class FileFormat(NamedTuple):
    """A format: the module of its adapter below ``ingest/adapters/``, and its title for users."""

    adapter: str
    title: str


FILE_FORMATS = (
    FileFormat("azure_llm_trace", "Azure LLM inference trace (CSV)"),
    FileFormat("mooncake_trace", "Mooncake trace (JSONL)"),
    FileFormat("cloudevents", "Tallystick's CloudEvents (NDJSON)"),
)


def list_titles() -> str:
    """Return the titles of all formats as a part of a sentence."""
    *titles, last_title = (file_format.title for file_format in FILE_FORMATS)
    return f"{', '.join(titles)}, and {last_title}"
