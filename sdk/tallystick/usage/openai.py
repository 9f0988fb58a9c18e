"""Read OpenAI's usage blocks: chat completions and responses (pure)."""

from tallystick.usage.base import Block, Usage, _count, _part, _rest, _total


def _chat(block: Block) -> Usage:
    input, output = _count(block, "prompt_tokens"), _count(block, "completion_tokens")
    of_input, of_output = _part(block, "prompt_tokens_details"), _part(block, "completion_tokens_details")
    cached = (
        _count(of_input, "cached_tokens")
        or _count(block, "prompt_cache_hit_tokens")
        or _count(block, "num_cached_tokens")
    )
    return _including(input, output, cached, of_input, of_output, _total(block, "total_tokens"))


def _responses(block: Block) -> Usage:
    of_input, of_output = _part(block, "input_tokens_details"), _part(block, "output_tokens_details")
    input, output, cached = _count(block, "input_tokens"), _count(block, "output_tokens"), "cached_tokens"
    return _including(input, output, _count(of_input, cached), of_input, of_output, _total(block, "total_tokens"))


def _including(input: int, output: int, cached: int, of_input: Block, of_output: Block, total: int | None) -> Usage:
    """OpenAI's way: totals, and what of them was something else."""
    tokens = {
        "cache_read": cached,
        "cache_write": _count(of_input, "cache_write_tokens"),
        "input_audio": _count(of_input, "audio_tokens"),
        "input_image": _count(of_input, "image_tokens"),
    }
    answered = {
        "reasoning": _count(of_output, "reasoning_tokens"),
        "output_audio": _count(of_output, "audio_tokens"),
        "output_image": _count(of_output, "image_tokens"),
    }
    rest = {"input": _rest(input, tokens), "output": _rest(output, answered)}
    return Usage(tokens | answered | rest, input, output, total)
