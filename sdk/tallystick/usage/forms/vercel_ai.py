"""The Vercel AI SDK's usage, of versions 4 (``promptTokens``), 5 (``cachedInputTokens``) and 6 (``inputTokenDetails``).

Documentation: ai-sdk.dev/docs/reference/ai-sdk-core/generate-text, and the LanguageModelV3Usage of a provider.
"""

from tallystick.usage.base import Block, Context, Usage, get_path
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.reconciliation import BESIDE, INSIDE, INSIDE_OR_BESIDE, Input, Output, build_usage

NAMES = frozenset((
    "promptTokens", "completionTokens", "reasoningTokens", "cachedInputTokens", "inputTokenDetails",
    "outputTokenDetails", "raw",
))  # fmt: skip
CLAUDE = ("claude", "anthropic")


def is_vercel(block: Block, context: Context) -> bool:
    if set(block) == {"tokens"} and block["tokens"] is not None:
        return True
    if any(block.get(name) is not None for name in NAMES):
        return any(block.get(name) is not None for name in ("promptTokens", "inputTokens", "completionTokens"))
    return bool(get_path(block, "inputTokens"))


def read_vercel(block: CountBlock, context: Context) -> Usage:
    """Read a block of one of the versions."""
    block.drop("raw")
    if "tokens" in block:  # of an embedding
        return build_usage(Input(block.take("tokens")), Output(0), None)
    if "prompt_tokens" in block or "completion_tokens" in block:
        return _read_version_4(block, context)
    if block.has_object("input_tokens"):
        return _read_provider_usage(block)
    input_total, output_total = block.get_count("input_tokens"), block.get_count("output_tokens")
    total = block.get_count("total_tokens")
    is_version_6 = block.has_object("input_token_details")
    details, output_details = block.take_part("input_token_details"), block.take_part("output_token_details")
    cache_write = details.take("cache_write_tokens")
    cached = block.agree(block.get_count("cached_input_tokens"), details.get_count("cache_read_tokens"))
    reasoning = block.agree(block.get_count("reasoning_tokens"), output_details.get_count("reasoning_tokens"))
    plain = details.get_count("no_cache_tokens")
    text = output_details.take("text_tokens")
    if (
        input_total is None
        or output_total is None
        or (plain is not None and plain + cached + cache_write != input_total)
    ):
        return Usage((), input_total, output_total, total)
    if cached and not is_version_6 and _is_claude(context):  # version 5 left Anthropic's cache out of both totals
        return Usage((), input_total, output_total, total)
    input, output = Input(input_total, cached, cache_write), Output(output_total, reasoning, text=text)
    return build_usage(input, output, total, cache=INSIDE_OR_BESIDE, reasoning=INSIDE_OR_BESIDE)


def _is_claude(context: Context) -> bool:
    return context.has_model(*CLAUDE) or any(get_path(part, "anthropic") for part in _list_metadata(context))


def _read_version_4(block: CountBlock, context: Context) -> Usage:
    """Read a block of version 4, whose cache and reasoning stand in the provider's metadata."""
    input_total, output_total = block.get_count("prompt_tokens"), block.get_count("completion_tokens")
    total = block.get_count("total_tokens")
    if input_total is None or output_total is None or total not in (None, input_total + output_total):
        return Usage((), input_total, output_total, total)
    metadata: Block = next(iter(_list_metadata(context)), {})
    openai, anthropic = CountBlock(get_path(metadata, "openai")), CountBlock(get_path(metadata, "anthropic"))
    cache_write = anthropic.take("cache_creation_input_tokens")
    cache_read = anthropic.take("cache_read_input_tokens")
    if cache_read + cache_write:
        return build_usage(Input(input_total, cache_read, cache_write), Output(output_total), None, cache=BESIDE)
    input = Input(input_total, openai.take("cached_prompt_tokens"))
    return build_usage(input, Output(output_total, openai.take("reasoning_tokens")), None, cache=INSIDE)


METADATA = ("providerMetadata", "experimental_providerMetadata")


def _list_metadata(context: Context) -> list[Block]:
    return [part for envelope in context.envelopes for name in METADATA if (part := get_path(envelope, name))]


def _read_provider_usage(block: CountBlock) -> Usage:
    """Read a provider's usage of version 6: an object for each direction."""
    input, output = block.take_part("input_tokens"), block.take_part("output_tokens")
    input_total, output_total = input.get_count("total"), output.get_count("total")
    total = block.get_count("total_tokens")
    cached, cache_write, plain = input.take("cache_read"), input.take("cache_write"), input.get_count("no_cache")
    reasoning, text = output.take("reasoning"), output.take("text")
    if (
        input_total is None
        or output_total is None
        or (plain is not None and plain + cached + cache_write != input_total)
    ):
        return Usage((), input_total, output_total, total)
    return build_usage(
        Input(input_total, cached, cache_write), Output(output_total, reasoning, text=text), total,
        cache=INSIDE, reasoning=INSIDE,
    )  # fmt: skip


FORM = Form("vercel_ai", is_vercel, read_vercel, NAMES | {"tokens", "inputTokens"})
