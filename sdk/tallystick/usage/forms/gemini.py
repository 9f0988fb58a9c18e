"""Gemini's generateContent, by the Gemini API and by Vertex AI.

The prompt holds the cache; candidates are without the thoughts; prompts of tools lie beside the prompt. A modality
counts its cached tokens too. Searches of Google stand beside the usage. Documentation:
ai.google.dev/api/generate-content#UsageMetadata,
cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse.
"""

from collections import Counter

from tallystick.usage.base import Block, Context, Usage
from tallystick.usage.block import CountBlock
from tallystick.usage.form import Form
from tallystick.usage.reconciliation import BESIDE_OR_INSIDE, INSIDE, Input, Output, build_usage
from tallystick.usage.searches import count_grounding

TOTALS = (
    "promptTokenCount", "prompt_token_count", "candidatesTokenCount", "candidates_token_count", "totalTokenCount",
    "total_token_count", "responseTokenCount", "response_token_count",
)  # fmt: skip
PLAIN_MODALITIES = frozenset(("text", "video", "document", "modality_unspecified"))
"""Modalities that have no token class of their own in the input."""


def is_gemini(block: Block, context: Context) -> bool:
    return "generation_token_count" not in block and any(block.get(name) is not None for name in TOTALS)


def read_gemini(block: CountBlock, context: Context) -> Usage:
    """Read a block of Gemini. Prompts of tools are inside of the prompt where the total says so."""
    prompt, tools = block.take("prompt_token_count"), block.take("tool_use_prompt_token_count")
    answer, thoughts = block.take("candidates_token_count", "response_token_count"), block.take("thoughts_token_count")
    cached = block.take("cached_content_token_count")
    total = block.get_count("total_token_count")
    prompts = take_modalities(block, prompt, "prompt_tokens_details", "prompt_token_details")
    tool_prompts = take_modalities(block, tools, "tool_use_prompt_tokens_details")
    caches = take_modalities(block, cached, "cache_tokens_details")
    answers = take_modalities(block, answer, "candidates_tokens_details", "response_tokens_details")
    if answers["video"] or cached > prompt:
        block.spoil()
    audio, image = prompts["audio"] + tool_prompts["audio"], prompts["image"] + tool_prompts["image"]
    input = Input(
        prompt + tools, cached, audio=audio, image=image,
        cached_audio=caches["audio"] if caches else None, cached_image=caches["image"] if caches else None,
    )  # fmt: skip
    output = Output(answer, thoughts, answers["audio"], answers["image"])
    usage = build_usage(input, output, total, cache=INSIDE, reasoning=BESIDE_OR_INSIDE)
    if not usage.readings and tools:
        input = input._replace(total=prompt, audio=prompts["audio"], image=prompts["image"])
        usage = build_usage(input, output, total, cache=INSIDE, reasoning=BESIDE_OR_INSIDE)
    return usage._replace(quantities={"web_searches": count_grounding(context)})


def take_modalities(block: CountBlock, total: int, *names: str, count_name: str = "token_count") -> Counter[str]:
    """Take the counts by modality, of which the total is the sum, or more. Another modality than these is not known."""
    counts: Counter[str] = Counter()
    for part in block.take_list(*names):
        counts[(part.take_word("modality") or "text").rsplit(".", 1)[-1]] += part.take(count_name)
    is_strange = any(count and name not in PLAIN_MODALITIES | {"audio", "image"} for name, count in counts.items())
    if is_strange or counts.total() > total:
        block.spoil()
    return counts


FORM = Form("gemini", is_gemini, read_gemini, frozenset(TOTALS))
