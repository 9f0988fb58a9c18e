"""Read Anthropic's usage blocks (pure)."""

from tallystick.usage.base import Block, Usage, get_block, get_count, subtract_parts
from tallystick.usage.openai import read_responses


def read_anthropic(block: Block) -> Usage:
    if "input_tokens_details" in block or "total_tokens" in block:
        return read_responses(block)
    cache_write, cache_read = (
        get_count(block, "cache_creation_input_tokens"),
        get_count(block, "cache_read_input_tokens"),
    )
    lifetimes = get_block(block, "cache_creation")
    tokens = {
        "cache_write_5m": get_count(lifetimes, "ephemeral_5m_input_tokens"),
        "cache_write_1h": get_count(lifetimes, "ephemeral_1h_input_tokens"),
    }
    tokens["cache_write"] = 0 if any(tokens.values()) else cache_write
    reasoning = {"reasoning": get_count(get_block(block, "output_tokens_details"), "thinking_tokens")}
    input, output = get_count(block, "input_tokens"), get_count(block, "output_tokens")
    searches = {"web_searches": get_count(get_block(block, "server_tool_use"), "web_search_requests")}
    classes = (
        tokens | reasoning | {"input": input, "cache_read": cache_read, "output": subtract_parts(output, reasoning)}
    )
    return Usage(classes, input + cache_write + cache_read, output, None, searches)
