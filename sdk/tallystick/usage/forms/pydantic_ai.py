"""pydantic-ai's RequestUsage and RunUsage, and the older Usage (``request_tokens``).

Totals hold all their parts; ``details`` repeats the provider's counts under its own names. Documentation:
ai.pydantic.dev/api/usage.
"""

from tallystick.usage.base import Block, Context, Fields, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.reconciliation import INSIDE, Input, Output, build_usage
from tallystick.usage.token_details import take_claim

NAMES = (
    "cache_write_tokens", "cache_read_tokens", "input_audio_tokens", "cache_audio_read_tokens", "requests",
    "output_audio_tokens", "cache_write_1h_tokens", "output_reasoning_tokens", "unmeasured_requests",
)  # fmt: skip
REASONING_NAMES = ("reasoning_tokens", "thoughts_tokens", "thinking_tokens")
REPEATED_INPUT = ("input_tokens", "request_tokens", "prompt_tokens")
REPEATED_OUTPUT = ("output_tokens", "response_tokens", "completion_tokens")
REPEATED_CACHE = ("cached_tokens", "cache_read_input_tokens", "cached_content_tokens", "cache_read_tokens")
PARTS_OF_TEXT = (
    "text_prompt_tokens", "text_candidates_tokens", "text_cache_tokens", "text_tokens", "accepted_prediction_tokens",
    "rejected_prediction_tokens", "video_prompt_tokens", "document_prompt_tokens", "tool_use_prompt_tokens",
    "web_fetch_requests",
)  # fmt: skip


def is_pydantic(block: Block, context: Context) -> bool:
    if block.get("request_tokens") is not None:
        return True
    if block.get("input_tokens_details") is not None:  # OpenAI's Agents SDK counts its requests too
        return False
    return block.get("input_tokens") is not None and any(block.get(name) is not None for name in NAMES)


def read_pydantic(block: CountBlock, context: Context) -> Usage:
    """Read the usage of a request, or of a run, which sums several."""
    input_total = block.get_count("input_tokens", "request_tokens")
    output_total = block.get_count("output_tokens", "response_tokens")
    total = block.get_count("total_tokens")
    cached, cache_write = block.take("cache_read_tokens"), block.take("cache_write_tokens")
    audio, cached_audio = block.take("input_audio_tokens"), block.get_count("cache_audio_read_tokens")
    output_audio = block.take("output_audio_tokens")
    hour = block.take("cache_write_1h_tokens")
    if block.take("unmeasured_requests"):  # the totals are lower bounds
        block.spoil()
    requests = block.take("requests")
    block.drop("tool_calls")
    details = block.take_part("details")
    reasoning = block.agree(block.get_count("output_reasoning_tokens"), details.get_count(*REASONING_NAMES))
    image = details.take("image_prompt_tokens")
    output_image = details.take("image_candidates_tokens")
    searches = details.take("web_search_requests")
    for repeated in (
        details.get_count(*REPEATED_CACHE) in (None, 0, cached),
        details.get_count("cache_creation_input_tokens", "cache_write_tokens") in (None, 0, cache_write),
        details.get_count("audio_tokens") in (None, 0, audio, output_audio),
        details.get_count("audio_prompt_tokens") in (None, 0, audio),
        details.get_count("audio_candidates_tokens") in (None, 0, output_audio),
        details.get_count("audio_cache_tokens") in (None, 0, cached_audio),
    ):
        if not repeated:
            details.spoil()
    details.drop(*REPEATED_INPUT, *REPEATED_OUTPUT, *PARTS_OF_TEXT)
    if input_total is None or output_total is None:
        return Usage((), input_total, output_total, total)
    fields: Fields = take_claim(block) | ({"calls": requests} if requests > 1 else {})
    if hour > cache_write:
        block.spoil()
    writes = (0, cache_write - hour, hour) if hour else (cache_write, 0, 0)  # the rest of an hour's is of five minutes
    usage = build_usage(
        Input(input_total, cached, *writes, audio=audio, image=image, cached_audio=cached_audio or None),
        Output(output_total, reasoning, output_audio, output_image), total,
        cache=INSIDE, reasoning=INSIDE, quantities={"web_searches": searches},
    )  # fmt: skip
    return usage._replace(fields=fields)


FORM = Form("pydantic_ai", is_pydantic, read_pydantic, frozenset(("request_tokens", *NAMES)))
