"""The formats of files that ``tally import`` recognizes: the one list of their adapters and titles (pure)."""

from typing import NamedTuple


class FileFormat(NamedTuple):
    """A format: the module of its adapter below ``ingest/adapters/``, with its folder, and its title for users."""

    adapter: str
    title: str


FILE_FORMATS = (
    FileFormat("azure_llm_trace", "Azure LLM inference trace (CSV)"),
    FileFormat("mooncake_trace", "Mooncake trace (JSONL)"),
    FileFormat("cloudevents", "Tallystick's CloudEvents (NDJSON)"),
    FileFormat("sessions.claude_code", "Claude Code sessions"),
    FileFormat("sessions.codex", "Codex sessions"),
    FileFormat("exports.litellm_spend_logs", "LiteLLM spend logs"),
    FileFormat("exports.litellm_standard_logging", "LiteLLM logging payloads"),
    FileFormat("exports.openai_usage", "OpenAI organization usage"),
    FileFormat("exports.openai_batch", "OpenAI batch output"),
    FileFormat("exports.anthropic_usage", "Anthropic usage"),
    FileFormat("exports.openrouter_activity", "OpenRouter activity"),
    FileFormat("exports.bedrock_invocation", "Bedrock invocation logs"),
    FileFormat("exports.langfuse_observations", "Langfuse observations"),
    FileFormat("exports.helicone_requests", "Helicone requests"),
    FileFormat("exports.cursor_usage", "Cursor usage"),
)


def list_titles() -> str:
    """Return the titles of all formats as a part of a sentence."""
    *titles, last_title = (file_format.title for file_format in FILE_FORMATS)
    return f"{', '.join(titles)}, and {last_title}"
