"""Bedrock's Converse and ConverseStream, and Nova's body by InvokeModel.

The input is without the cache. A cache count may stand twice. Documentation:
docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html.
"""

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.reconciliation import BESIDE_OR_INSIDE, INSIDE, Input, Output, build_usage


def is_converse(block: Block, context: Context) -> bool:
    return block.get("inputTokens") is not None or block.get("outputTokens") is not None


def read_converse(block: CountBlock, context: Context) -> Usage:
    """Read a block of Converse."""
    cached = block.take("cache_read_input_tokens", "cache_read_input_token_count")
    cache_write = block.get_count("cache_write_input_tokens", "cache_write_input_token_count")
    short = long = 0
    for detail in block.take_list("cache_details"):
        count = detail.take("input_tokens")
        match detail.take_word("ttl"):
            case "5m":
                short += count
            case "1h":
                long += count
            case _ if count:
                detail.spoil()
    if short + long and cache_write not in (None, short + long):
        block.spoil()
    input_total, output_total = block.get_count("input_tokens"), block.get_count("output_tokens")
    total = block.get_count("total_tokens")
    if input_total is None or output_total is None:
        return Usage((), input_total, output_total, total)
    input = Input(input_total, cached, 0 if short + long else cache_write or 0, short, long)
    return build_usage(input, Output(output_total), total, cache=BESIDE_OR_INSIDE, reasoning=INSIDE)


FORM = Form("bedrock_converse", is_converse, read_converse, frozenset(("inputTokens", "outputTokens")))
