"""What a provider's response says of its usage, in our token classes. Pure.

Providers differ in what their totals include: OpenAI's input holds the cache, Anthropic's and Bedrock's do not, and
Gemini's candidates leave out the thoughts. The provider's own totals go along, so that the ledger puts aside what does
not add up to them.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Block = Mapping[str, Any]
Fields = dict[str, Any]

MOST, NAMES, LONGEST = 10**12, 32, 64


class Usage(NamedTuple):
    """Counts by token class, other quantities, and the provider's totals with cache and reasoning included."""

    tokens: dict[str, int]
    input: int
    output: int
    total: int | None = None
    quantities: dict[str, int] = {}  # noqa: RUF012  (never changed)


def fields(response: object) -> Fields | None:
    """The fields of an inference that a response, or its usage block, fills; None where it holds no usage we know.

    Reads the objects of the providers' clients, or dicts, of OpenAI (chat, responses), Anthropic, Gemini and Bedrock
    Converse, and of whoever answers in their form.
    """
    said = _plain(response)
    block = next((found for name in _BLOCKS if (found := _plain(said.get(name)))), said)
    read = next((reader for name, reader in _READERS if isinstance(block.get(name), int)), None)
    if read is None:
        return None
    usage = read(block)
    totals = {"input": usage.input, "output": usage.output, "total": usage.total}
    filled: Fields = {
        "tokens": {name: count for name, count in usage.tokens.items() if count},
        "reported_tokens": {name: total for name, total in totals.items() if total is not None},
        "provider_usage": _numbers(block, 0),
        "quantities": {name: count for name, count in usage.quantities.items() if count} or None,
        "usage_source": "reported",
        "model_resolved": _word(said, "model", "modelVersion", "model_version"),
        "service_tier": _word(said, "service_tier") or _word(block, "service_tier"),
    }
    return {name: value for name, value in filled.items() if value is not None}


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


def _anthropic(block: Block) -> Usage:
    if "input_tokens_details" in block or "total_tokens" in block:
        return _responses(block)
    written, read = _count(block, "cache_creation_input_tokens"), _count(block, "cache_read_input_tokens")
    lifetimes = _part(block, "cache_creation")
    tokens = {
        "cache_write_5m": _count(lifetimes, "ephemeral_5m_input_tokens"),
        "cache_write_1h": _count(lifetimes, "ephemeral_1h_input_tokens"),
    }
    tokens["cache_write"] = 0 if any(tokens.values()) else written
    thought = {"reasoning": _count(_part(block, "output_tokens_details"), "thinking_tokens")}
    input, output = _count(block, "input_tokens"), _count(block, "output_tokens")
    searches = {"web_searches": _count(_part(block, "server_tool_use"), "web_search_requests")}
    whole = tokens | thought | {"input": input, "cache_read": read, "output": _rest(output, thought)}
    return Usage(whole, input + written + read, output, None, searches)


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


_BLOCKS = ("usage", "usageMetadata", "usage_metadata")
_READERS: tuple[tuple[str, Callable[[Block], Usage]], ...] = (
    ("prompt_tokens", _chat),
    ("promptTokenCount", _gemini),
    ("prompt_token_count", _gemini),
    ("inputTokens", _bedrock),
    ("input_tokens", _anthropic),
)
"""What tells the forms apart, and what reads each."""


def _plain(value: object) -> Block:
    """A response or a block as a mapping; empty where it is none."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (str, bytes, int, float, list, tuple, type(None))):
        return {}
    dump = getattr(value, "model_dump", None) or getattr(value, "to_dict", None)
    said = dump() if callable(dump) else getattr(value, "__dict__", {})
    return said if isinstance(said, Mapping) else {}


def _part(block: Block, name: str) -> Block:
    return _plain(block.get(name))


def _count(block: Block, name: str) -> int:
    value = block.get(name)
    return value if type(value) is int and value > 0 else 0


def _total(block: Block, name: str) -> int | None:
    value = block.get(name)
    return value if type(value) is int and value >= 0 else None


def _rest(total: int, parts: Mapping[str, int]) -> int:
    """What no part took. Parts that are more than the whole stay, and do not add up: the ledger tells that."""
    return max(0, total - sum(parts.values()))


def _modalities(details: object) -> dict[str, int]:
    """Gemini's counts by modality."""
    counts: dict[str, int] = {}
    for one in map(_plain, details if isinstance(details, list) else []):
        say = {_snake(name): value for name, value in one.items()}
        kind = str(getattr(say.get("modality"), "value", say.get("modality"))).lower()
        counts[kind] = counts.get(kind, 0) + _count(say, "token_count")
    return counts


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _numbers(block: Block, depth: int) -> Fields:
    """The counts of a block as they came, one object deep; whatever else it says is left out."""
    kept: Fields = {}
    for name, value in block.items():
        if not isinstance(name, str) or not name.isidentifier() or not name.isascii() or len(name) > LONGEST:
            continue
        if type(value) is int and 0 <= value <= MOST:
            kept[name] = value
        elif depth == 0 and (inner := _numbers(_plain(value), 1)):
            kept[name] = inner
    return dict(list(kept.items())[:NAMES])


def _word(said: Block, *names: str) -> str | None:
    return next((word for name in names if isinstance(word := said.get(name), str) and 0 < len(word) <= 256), None)
