"""OpenAI's responses, and what its agents sum of them.

The Agents SDK counts its requests; ``codex exec --json`` gives no total. Documentation:
platform.openai.com/docs/api-reference/responses/object, openai.github.io/openai-agents-python/usage.
"""

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.token_details import read_token_details

ANTHROPIC_NAMES = frozenset((
    "cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation", "server_tool_use", "iterations",
    "inference_geo", "speed",
))  # fmt: skip


def is_response(block: Block, context: Context) -> bool:
    if block.get("input_tokens") is None:
        return False
    if any(
        block.get(name) is not None for name in ("input_tokens_details", "prompt_tokens_details", "cached_input_tokens")
    ):
        return True
    return block.get("total_tokens") is not None and not ANTHROPIC_NAMES & block.keys()


def read_response(block: CountBlock, context: Context) -> Usage:
    """Read a block of responses: cache inside of the input, reasoning inside of the output."""
    requests = block.take("requests")
    block.drop("request_usage_entries")  # they repeat the sums, a request each
    usage = read_token_details(block, context, "input", "output")
    return usage._replace(fields=usage.fields | {"calls": requests}) if requests > 1 else usage


FORM = Form("openai_responses", is_response, read_response, frozenset(("input_tokens",)))
