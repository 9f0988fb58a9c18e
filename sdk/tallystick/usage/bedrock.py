"""Read Bedrock Converse's usage blocks (pure)."""

from tallystick.usage.base import Block, Usage, _count, _plain, _rest, _total


def _bedrock(block: Block) -> Usage:
    written, read = _count(block, "cacheWriteInputTokens"), _count(block, "cacheReadInputTokens")
    details = block.get("cacheDetails")
    tokens = {"cache_write_5m": 0, "cache_write_1h": 0}
    for one in map(_plain, details if isinstance(details, list) else []):
        if (lifetime := f"cache_write_{one.get('ttl')}") in tokens:
            tokens[lifetime] += _count(one, "inputTokens")
    input, output = _count(block, "inputTokens"), _count(block, "outputTokens")
    tokens |= {"cache_write": _rest(written, tokens), "cache_read": read, "input": input, "output": output}
    return Usage(tokens, input + written + read, output, _total(block, "totalTokens"))
