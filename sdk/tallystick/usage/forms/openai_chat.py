"""OpenAI's chat completions, and the hosts that answer in their form.

Mistral, xAI, DeepSeek, Groq, Moonshot, OpenRouter, vLLM, Azure, LiteLLM's ModelResponse, and Gemini through its
compatible endpoint. Documentation: platform.openai.com/docs/api-reference/chat/object.
"""

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.token_details import read_token_details


def is_chat(block: Block, context: Context) -> bool:
    return block.get("prompt_tokens") is not None or block.get("completion_tokens") is not None


def read_chat(block: CountBlock, context: Context) -> Usage:
    """Read a block of chat completions. Reasoning is inside of the completion by OpenAI, and beside it by xAI."""
    return read_token_details(block, context, "prompt", "completion")


FORM = Form("openai_chat", is_chat, read_chat, frozenset(("prompt_tokens", "completion_tokens")))
