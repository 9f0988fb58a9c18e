"""Read a provider's usage block in our token classes. Pure.

Providers differ in what their totals include: OpenAI's input holds the cache, Anthropic's and Bedrock's do not, and
Gemini's candidates leave out the thoughts. The provider's own totals go along, and the ledger quarantines events whose
classes do not sum to them.
"""

from collections.abc import Callable

from tallystick.usage.anthropic import read_anthropic
from tallystick.usage.base import Block, Fields, Usage, to_mapping
from tallystick.usage.bedrock import read_bedrock
from tallystick.usage.gemini import read_gemini
from tallystick.usage.openai import read_chat

MAX_COUNT, MAX_NAMES, MAX_NAME_LENGTH = 10**12, 32, 64


def read_fields(response: object) -> Fields | None:
    """Return the fields of an inference that a response or its usage block fills; None without a known form of usage.

    Reads objects of the providers' clients, or dicts, of OpenAI (chat, responses), Anthropic, Gemini and Bedrock
    Converse, and of hosts that answer in their form.
    """
    attributes = to_mapping(response)
    block = next((candidate for name in _BLOCKS if (candidate := to_mapping(attributes.get(name)))), attributes)
    read = next((reader for name, reader in _READERS if isinstance(block.get(name), int)), None)
    if read is None:
        return None
    usage = read(block)
    totals = {"input": usage.input, "output": usage.output, "total": usage.total}
    filled: Fields = {
        "tokens": {name: count for name, count in usage.tokens.items() if count},
        "reported_tokens": {name: total for name, total in totals.items() if total is not None},
        "provider_usage": _select_counts(block, 0),
        "quantities": {name: count for name, count in usage.quantities.items() if count} or None,
        "usage_source": "reported",
        "model_resolved": _get_word(attributes, "model", "modelVersion", "model_version"),
        "service_tier": _get_word(attributes, "service_tier") or _get_word(block, "service_tier"),
    }
    return {name: value for name, value in filled.items() if value is not None}


_BLOCKS = ("usage", "usageMetadata", "usage_metadata")
_READERS: tuple[tuple[str, Callable[[Block], Usage]], ...] = (
    ("prompt_tokens", read_chat),
    ("promptTokenCount", read_gemini),
    ("prompt_token_count", read_gemini),
    ("inputTokens", read_bedrock),
    ("input_tokens", read_anthropic),
)
"""The field by which each form is recognized, and its reader."""


def _select_counts(block: Block, depth: int) -> Fields:
    """Return the counts of a block unchanged, one object deep, without anything else."""
    counts: Fields = {}
    for name, value in block.items():
        if not isinstance(name, str) or not name.isidentifier() or not name.isascii() or len(name) > MAX_NAME_LENGTH:
            continue
        if type(value) is int and 0 <= value <= MAX_COUNT:
            counts[name] = value
        elif depth == 0 and (inner := _select_counts(to_mapping(value), 1)):
            counts[name] = inner
    return dict(list(counts.items())[:MAX_NAMES])


def _get_word(attributes: Block, *names: str) -> str | None:
    return next(
        (word for name in names if isinstance(word := attributes.get(name), str) and 0 < len(word) <= 256), None
    )
