"""Read OpenAI's usage blocks: chat completions and responses (pure)."""

from tallystick.usage.base import Block, Usage, get_block, get_count, get_total, subtract_parts


def read_chat(block: Block) -> Usage:
    input, output = get_count(block, "prompt_tokens"), get_count(block, "completion_tokens")
    input_details, output_details = (
        get_block(block, "prompt_tokens_details"),
        get_block(block, "completion_tokens_details"),
    )
    cached = (
        get_count(input_details, "cached_tokens")
        or get_count(block, "prompt_cache_hit_tokens")
        or get_count(block, "num_cached_tokens")
    )
    return _build_usage(input, output, cached, input_details, output_details, get_total(block, "total_tokens"))


def read_responses(block: Block) -> Usage:
    input_details, output_details = get_block(block, "input_tokens_details"), get_block(block, "output_tokens_details")
    input, output, cached = get_count(block, "input_tokens"), get_count(block, "output_tokens"), "cached_tokens"
    return _build_usage(
        input, output, get_count(input_details, cached), input_details, output_details, get_total(block, "total_tokens")
    )


def _build_usage(
    input: int, output: int, cached: int, input_details: Block, output_details: Block, total: int | None
) -> Usage:
    """Build the usage of OpenAI's form: totals, and the parts that are included in them."""
    tokens = {
        "cache_read": cached,
        "cache_write": get_count(input_details, "cache_write_tokens"),
        "input_audio": get_count(input_details, "audio_tokens"),
        "input_image": get_count(input_details, "image_tokens"),
    }
    output_classes = {
        "reasoning": get_count(output_details, "reasoning_tokens"),
        "output_audio": get_count(output_details, "audio_tokens"),
        "output_image": get_count(output_details, "image_tokens"),
    }
    remainders = {"input": subtract_parts(input, tokens), "output": subtract_parts(output, output_classes)}
    return Usage(tokens | output_classes | remainders, input, output, total)
