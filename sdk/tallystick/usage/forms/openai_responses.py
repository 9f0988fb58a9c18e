"""OpenAI's responses. Documentation: platform.openai.com/docs/api-reference/responses/object."""

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
    if block.get("input_tokens_details") is not None:
        return True
    return block.get("total_tokens") is not None and not ANTHROPIC_NAMES & block.keys()


def read_response(block: CountBlock, context: Context) -> Usage:
    """Read a block of responses: cache inside of the input, reasoning inside of the output."""
    return read_token_details(block, context, "input", "output")


FORM = Form("openai_responses", is_response, read_response, frozenset(("input_tokens",)))
