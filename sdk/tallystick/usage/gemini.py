"""Read Gemini's usage blocks (pure)."""

from tallystick.usage.base import Block, Usage, _count, _plain, _rest, _snake, _total


def _gemini(block: Block) -> Usage:
    say = {_snake(name): value for name, value in block.items()}
    prompt, tools = _count(say, "prompt_token_count"), _count(say, "tool_use_prompt_token_count")
    answered, thought = _count(say, "candidates_token_count"), _count(say, "thoughts_token_count")
    cached = _count(say, "cached_content_token_count")
    of_prompt, of_cache, of_answer = (
        _modalities(say.get(f"{name}_tokens_details")) for name in ("prompt", "cache", "candidates")
    )
    read = {f"cache_read_{kind}": of_cache.get(kind, 0) for kind in ("audio", "image")}
    fresh = {f"input_{kind}": max(0, of_prompt.get(kind, 0) - of_cache.get(kind, 0)) for kind in ("audio", "image")}
    made = {f"output_{kind}": of_answer.get(kind, 0) for kind in ("audio", "image")}
    tokens = {
        "cache_read": _rest(cached, read), "input": _rest(prompt - cached, fresh) + tools,
        "output": _rest(answered, made), "reasoning": thought,
    }  # fmt: skip
    total = _total(say, "total_token_count")
    return Usage(tokens | read | fresh | made, prompt + tools, answered + thought, total)


def _modalities(details: object) -> dict[str, int]:
    """Gemini's counts by modality."""
    counts: dict[str, int] = {}
    for one in map(_plain, details if isinstance(details, list) else []):
        say = {_snake(name): value for name, value in one.items()}
        kind = str(getattr(say.get("modality"), "value", say.get("modality"))).lower()
        counts[kind] = counts.get(kind, 0) + _count(say, "token_count")
    return counts
