"""Read Gemini's usage blocks (pure)."""

from tallystick.usage.base import Block, Usage, get_count, get_total, subtract_parts, to_mapping, to_snake_case


def read_gemini(block: Block) -> Usage:
    fields = {to_snake_case(name): value for name, value in block.items()}
    prompt, tools = get_count(fields, "prompt_token_count"), get_count(fields, "tool_use_prompt_token_count")
    answered, thoughts = get_count(fields, "candidates_token_count"), get_count(fields, "thoughts_token_count")
    cached = get_count(fields, "cached_content_token_count")
    prompt_counts, cache_counts, answer_counts = (
        _read_modalities(fields.get(f"{name}_tokens_details")) for name in ("prompt", "cache", "candidates")
    )
    cache_classes = {f"cache_read_{kind}": cache_counts.get(kind, 0) for kind in ("audio", "image")}
    input_classes = {
        f"input_{kind}": max(0, prompt_counts.get(kind, 0) - cache_counts.get(kind, 0)) for kind in ("audio", "image")
    }
    output_classes = {f"output_{kind}": answer_counts.get(kind, 0) for kind in ("audio", "image")}
    tokens = {
        "cache_read": subtract_parts(cached, cache_classes),
        "input": subtract_parts(prompt - cached, input_classes) + tools,
        "output": subtract_parts(answered, output_classes), "reasoning": thoughts,
    }  # fmt: skip
    total = get_total(fields, "total_token_count")
    return Usage(tokens | cache_classes | input_classes | output_classes, prompt + tools, answered + thoughts, total)


def _read_modalities(details: object) -> dict[str, int]:
    """Read Gemini's counts by modality."""
    counts: dict[str, int] = {}
    for detail in map(to_mapping, details if isinstance(details, list) else []):
        fields = {to_snake_case(name): value for name, value in detail.items()}
        kind = str(getattr(fields.get("modality"), "value", fields.get("modality"))).lower()
        counts[kind] = counts.get(kind, 0) + get_count(fields, "token_count")
    return counts
