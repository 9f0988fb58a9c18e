"""Gemini's interactions, by the Gemini API and by Vertex AI.

The input holds the cache; thoughts and prompts of tools lie beside the output and the input. Documentation:
ai.google.dev/gemini-api/docs/tokens,
docs.cloud.google.com/gemini-enterprise-agent-platform/reference/rest/v1beta1/Usage.
"""

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.forms.gemini import take_modalities
from tallystick.usage.reconciliation import BESIDE_OR_INSIDE, INSIDE, Input, Output, build_usage
from tallystick.usage.searches import count_charged

NAMES = frozenset(("total_input_tokens", "totalInputTokens", "total_output_tokens", "totalOutputTokens"))


def is_interaction(block: Block, context: Context) -> bool:
    return any(block.get(name) is not None for name in NAMES)


def read_interaction(block: CountBlock, context: Context) -> Usage:
    """Read a block of interactions. Grounding by anything but Google's search makes it unknown."""
    prompt, tool_tokens = block.get_count("total_input_tokens"), block.take("total_tool_use_tokens")
    answer, thoughts = block.get_count("total_output_tokens"), block.take("total_thought_tokens")
    cached, total = block.take("total_cached_tokens"), block.get_count("total_tokens")
    prompts = take_modalities(block, prompt or 0, "input_tokens_by_modality", count_name="tokens")
    tool_prompts = take_modalities(block, tool_tokens, "tool_use_tokens_by_modality", count_name="tokens")
    caches = take_modalities(block, cached, "cached_tokens_by_modality", count_name="tokens")
    answers = take_modalities(block, answer or 0, "output_tokens_by_modality", count_name="tokens")
    tools = block.take_list("grounding_tool_count")
    queries = sum(tool.take("count") for tool in tools if tool.take_word("type") == "google_search")
    quantities = {"web_searches": count_charged(queries, context)}
    if answers["video"] or cached > (prompt or 0):
        block.spoil()
    if prompt is None or answer is None:
        return Usage((), prompt, answer, total, quantities)
    input = Input(
        prompt + tool_tokens, cached, audio=prompts["audio"] + tool_prompts["audio"],
        image=prompts["image"] + tool_prompts["image"],
        cached_audio=caches["audio"] if caches else None, cached_image=caches["image"] if caches else None,
    )  # fmt: skip
    output = Output(answer, thoughts, answers["audio"], answers["image"])
    return build_usage(input, output, total, cache=INSIDE, reasoning=BESIDE_OR_INSIDE, quantities=quantities)


FORM = Form("gemini_interactions", is_interaction, read_interaction, NAMES)
