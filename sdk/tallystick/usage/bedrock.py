"""Read Bedrock Converse's usage blocks (pure)."""

from tallystick.usage.base import Block, Usage, get_count, get_total, subtract_parts, to_mapping


def read_bedrock(block: Block) -> Usage:
    cache_write, cache_read = get_count(block, "cacheWriteInputTokens"), get_count(block, "cacheReadInputTokens")
    details = block.get("cacheDetails")
    tokens = {"cache_write_5m": 0, "cache_write_1h": 0}
    for detail in map(to_mapping, details if isinstance(details, list) else []):
        if (lifetime := f"cache_write_{detail.get('ttl')}") in tokens:
            tokens[lifetime] += get_count(detail, "inputTokens")
    input, output = get_count(block, "inputTokens"), get_count(block, "outputTokens")
    tokens |= {
        "cache_write": subtract_parts(cache_write, tokens),
        "cache_read": cache_read,
        "input": input,
        "output": output,
    }
    return Usage(tokens, input + cache_write + cache_read, output, get_total(block, "totalTokens"))
