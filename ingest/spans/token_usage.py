"""Token counts of a span in our classes. Pure.

The conventions say that the input includes what was read from and written to a cache, and the output the reasoning.
Some instrumentations write the provider's own counts instead, which leave them out. So a reading must sum to the
span's total where it has one; without a total the conventions hold for names of the conventions, and what remains
ambiguous is *unknown*: it is never priced as plain input.
"""

from collections.abc import Mapping
from typing import Any

from ingest.spans.attribute_names import COUNT_SLOTS, UNREAD
from ledger.inference_fields import MAX_COUNT
from tallystick.privacy.field_names import is_field_name
from tallystick.usage.base import Reading
from tallystick.usage.reconciliation import INSIDE_OR_BESIDE, Input, Output, reconcile

_INCLUSIVE_PROVIDERS = frozenset(
    {
        "openai",
        "azure",
        "google",
        "x-ai",
        "deepseek",
        "groq",
        "mistral",
        "moonshotai",
        "openrouter",
        "fireworks",
        "together",
    }
)
"""Providers whose own count of the input includes the cache, under whatever name the cache's count has."""
_NATIVE, _VERCEL_CACHE = "native_", "vercel_cache_read"
INPUT_OPERATIONS = frozenset(("embeddings", "embedding", "rerank"))
_PLAIN_COUNTS = frozenset({"input", "output", "total", "cache_read", "reasoning"})

Fields = dict[str, Any]


def read_usage(slots: Mapping[str, Any], provider: str | None, operation: str | None = None) -> Fields:
    """Return the fields of an inference that the counts of a span fill: ``tokens`` and the totals, or a usage that is
    unknown or missing. A call has input and output; one of them alone says all where ``operation`` has no output, or
    where the span's total does."""
    counts: dict[str, int] = {}
    is_readable = True
    for slot in COUNT_SLOTS & slots.keys():
        if (count := _read_count(slots[slot])) is None:
            is_readable = False
        else:
            counts[slot] = count
    unread = {name[len(UNREAD) :]: value for name, value in slots.items() if name.startswith(UNREAD)}
    if is_readable and not unread:
        if not counts:
            return {"usage_source": "missing"}
        if (tokens := _read_plain(counts)) is not None:
            return _describe_reported(tokens, Reading(tokens, counts["input"], counts["output"]), counts.get("total"))
    is_native, is_readable = False, is_readable and _take_vercel_cache(slots, provider, counts)
    for name in [name for name in counts if name.startswith(_NATIVE)]:
        native, slot = counts.pop(name), name.removeprefix(_NATIVE)
        is_native |= slot not in counts
        is_readable &= counts.setdefault(slot, native) == native
    repeated = {*counts.values(), 0}
    has_both = "total" in counts or operation in INPUT_OPERATIONS or {"input", "output"} <= counts.keys()
    is_complete = is_readable and has_both and all(_read_count(value) in repeated for value in unread.values())
    reading = _choose_reading(counts, is_native and provider not in _INCLUSIVE_PROVIDERS) if is_complete else None
    if reading is None:
        return _describe_unknown(counts, unread)
    return _describe_reported(reading.tokens, reading, counts.get("total"))


def _take_vercel_cache(slots: Mapping[str, Any], provider: str | None, counts: dict[str, int]) -> bool:
    """Take the Vercel AI SDK's count of the cache for that of the conventions. Tell whether it is known to be inside of
    the input: version 5 leaves Anthropic's out of its totals too, version 6 repeats it in its details."""
    cached = counts.pop(_VERCEL_CACHE, 0)
    if not cached or "cache_read" in counts:
        return not cached or counts["cache_read"] == cached
    counts["cache_read"] = cached
    models = f"{slots.get('model')} {slots.get('model_resolved')}".lower()
    return provider in _INCLUSIVE_PROVIDERS and "claude" not in models


def _read_plain(counts: Mapping[str, int]) -> dict[str, int] | None:
    """Read the counts that most spans have, as :func:`_choose_reading` does; None where there are others."""
    input, output, total = counts.get("input"), counts.get("output"), counts.get("total")
    if input is None or output is None or not counts.keys() <= _PLAIN_COUNTS:
        return None
    cached, reasoning = counts.get("cache_read", 0), counts.get("reasoning", 0)
    if cached > input or reasoning > output or total not in (None, input + output):
        return None
    return {"cache_read": cached, "input": input - cached, "output": output - reasoning, "reasoning": reasoning}


def _describe_reported(tokens: Mapping[str, int], reading: Reading, total: int | None) -> Fields:
    reported = {"input": reading.input, "output": reading.output}
    return {
        "tokens": {name: count for name, count in tokens.items() if count} or {"input": 0},
        "reported_tokens": reported if total is None else reported | {"total": total},
        "usage_source": "reported",
    }


def _choose_reading(counts: Mapping[str, int], is_native: bool) -> Reading | None:
    """Choose the reading that sums to the total, or without a total the one of the conventions; None where none does,
    or two differ. ``is_native``: the cache's counts have the provider's names, so its place is not known."""
    input_total, output_total, total = counts.get("input"), counts.get("output"), counts.get("total")
    if input_total is None and output_total is None:
        return None
    input = Input(
        input_total or 0, counts.get("cache_read", 0), counts.get("cache_write", 0), audio=counts.get("input_audio", 0),
        image=counts.get("input_image", 0), cached_audio=counts.get("cache_read_audio"),
        cached_image=counts.get("cache_read_image"),
    )  # fmt: skip
    output = Output(
        output_total or 0, counts.get("reasoning", 0), counts.get("output_audio", 0), counts.get("output_image", 0)
    )
    readings = reconcile(input, output, total, cache=INSIDE_OR_BESIDE, reasoning=INSIDE_OR_BESIDE)
    if not readings or any(reading.tokens != readings[0].tokens for reading in readings):
        return None
    is_ambiguous = total is None and is_native and input.cache and readings[0].input == input.total
    return None if is_ambiguous else readings[0]


def _describe_unknown(counts: Mapping[str, int], unread: Mapping[str, Any]) -> Fields:
    """Describe a usage that no reading explains: the totals as they came, and the counts by name."""
    totals = {name: counts[name] for name in ("input", "output", "total") if name in counts}
    unread_counts = {name: count for name, value in unread.items() if (count := _read_count(value)) is not None}
    usage = {**counts} | {name: count for name, count in unread_counts.items() if is_field_name(name)}
    fields: Fields = {"usage_source": "unknown", "reported_tokens": totals, "provider_usage": usage}
    fields["left_out"] = tuple(unread)
    return {name: value for name, value in fields.items() if value}


def _read_count(value: Any) -> int | None:
    """Read a count, which some instrumentations write as a string or a whole float; None where it is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 13:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None
