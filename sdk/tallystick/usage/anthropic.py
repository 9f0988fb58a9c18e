"""Read Anthropic's usage blocks (pure)."""

from tallystick.usage.base import Block, Usage, _count, _part, _rest
from tallystick.usage.openai import _responses


def _anthropic(block: Block) -> Usage:
    if "input_tokens_details" in block or "total_tokens" in block:
        return _responses(block)
    written, read = _count(block, "cache_creation_input_tokens"), _count(block, "cache_read_input_tokens")
    lifetimes = _part(block, "cache_creation")
    tokens = {
        "cache_write_5m": _count(lifetimes, "ephemeral_5m_input_tokens"),
        "cache_write_1h": _count(lifetimes, "ephemeral_1h_input_tokens"),
    }
    tokens["cache_write"] = 0 if any(tokens.values()) else written
    thought = {"reasoning": _count(_part(block, "output_tokens_details"), "thinking_tokens")}
    input, output = _count(block, "input_tokens"), _count(block, "output_tokens")
    searches = {"web_searches": _count(_part(block, "server_tool_use"), "web_search_requests")}
    whole = tokens | thought | {"input": input, "cache_read": read, "output": _rest(output, thought)}
    return Usage(whole, input + written + read, output, None, searches)
