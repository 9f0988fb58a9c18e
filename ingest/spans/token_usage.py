"""Token counts of a span in our classes. Pure.

The conventions say that the input includes what was read from and written to a cache, and the output the reasoning.
Some instrumentations write the provider's own counts instead, which leave them out. So a reading must sum to the
span's total where it has one; without a total the conventions hold for names of the conventions, and what remains
ambiguous is *unknown*: it is never priced as plain input.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ingest.spans.attribute_names import COUNT_SLOTS, UNREAD
from tallystick.privacy.field_names import is_field_name

MAX_COUNT = 10**12
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
_INPUT_PARTS = ("cache_read", "cache_write", "input_audio", "input_image")
_OUTPUT_PARTS = ("reasoning", "output_audio", "output_image")

Fields = dict[str, Any]


class _Reading(NamedTuple):
    """The totals of input and output, cache and reasoning included, in one reading of the counts."""

    input: int
    output: int


def read_usage(slots: Mapping[str, Any], provider: str | None) -> Fields:
    """Return the fields of an inference that the counts of a span fill: ``tokens`` and the totals, or a usage that is
    unknown or missing."""
    counts: dict[str, int] = {}
    is_readable = True
    for slot in COUNT_SLOTS & slots.keys():
        count = _read_count(slots[slot])
        if count is None:
            is_readable = False
        else:
            counts[slot] = count
    unread = {name[len(UNREAD) :]: value for name, value in slots.items() if name.startswith(UNREAD)}
    is_native = "native_cache_read" in counts or "native_cache_write" in counts
    for name in ("cache_read", "cache_write"):
        native = counts.pop(f"native_{name}", None)
        if native is not None:
            is_native = is_native and counts.setdefault(name, native) == native and f"{name}" not in slots
    if not counts and is_readable and not unread:
        return {"usage_source": "missing"}
    known = set(counts.values()) | {0}
    is_complete = all(_read_count(value) in known for value in unread.values())
    reading = _choose_reading(counts, is_native and provider not in _INCLUSIVE_PROVIDERS) if is_readable else None
    tokens = _split(counts, reading) if reading and is_complete else None
    if reading is None or tokens is None:
        return _describe_unknown(counts, unread)
    reported = {"input": reading.input, "output": reading.output, "total": counts.get("total")}
    return {
        "tokens": {name: count for name, count in tokens.items() if count} or {"input": 0},
        "reported_tokens": {name: count for name, count in reported.items() if count is not None},
        "usage_source": "reported",
    }


def _choose_reading(counts: Mapping[str, int], is_native: bool) -> _Reading | None:
    """Choose the reading that sums to the total, or without a total the one of the conventions; None where none does,
    or two do."""
    input_total, output_total, total = counts.get("input"), counts.get("output"), counts.get("total")
    if input_total is None and output_total is None:
        return None
    if input_total is None or output_total is None:
        if total is not None:
            return None  # embeddings have no output, and their total is their input
        input_total, output_total = input_total or 0, output_total or 0
    cached, reasoning = counts.get("cache_read", 0) + counts.get("cache_write", 0), counts.get("reasoning", 0)
    inputs = [input_total, input_total + cached] if cached else [input_total]
    outputs = [output_total, output_total + reasoning] if reasoning else [output_total]
    readings = [
        _Reading(input_sum, output_sum)
        for input_sum in inputs
        for output_sum in outputs
        if input_sum >= cached and output_sum >= reasoning
    ]
    if total is not None:
        readings = [reading for reading in readings if reading.input + reading.output == total]
        is_conventional = bool(readings) and readings[0] == _Reading(inputs[0], outputs[0])
        return readings[0] if is_conventional or len(readings) == 1 else None
    if cached and is_native and readings[0].input == input_total:
        return None
    return readings[0]


def _split(counts: Mapping[str, int], reading: _Reading) -> dict[str, int] | None:
    """Split the totals into disjoint classes; None where the parts exceed them, or may overlap."""
    parts = {name: counts.get(name, 0) for name in _INPUT_PARTS + _OUTPUT_PARTS}
    for kind in ("audio", "image"):
        cached = counts.get(f"cache_read_{kind}", 0)
        if not cached and parts["cache_read"] and parts[f"input_{kind}"]:
            return None  # the cache may hold some of them, and nothing says how many
        parts[f"cache_read_{kind}"] = cached
        parts[f"input_{kind}"] -= cached
        parts["cache_read"] -= cached
    input_parts = sum(parts[name] for name in (*_INPUT_PARTS, "cache_read_audio", "cache_read_image"))
    output_parts = sum(parts[name] for name in _OUTPUT_PARTS)
    tokens = parts | {"input": reading.input - input_parts, "output": reading.output - output_parts}
    return tokens if min(tokens.values()) >= 0 else None


def _describe_unknown(counts: Mapping[str, int], unread: Mapping[str, Any]) -> Fields:
    """Describe a usage that no reading explains: the totals as they came, and the counts by name."""
    totals = {name: counts[name] for name in ("input", "output", "total") if name in counts}
    others = {name: count for name, value in unread.items() if (count := _read_count(value)) is not None}
    usage = {**counts} | {name: count for name, count in others.items() if is_field_name(name)}
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
