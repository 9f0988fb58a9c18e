"""Counts of spans in classes: what the conventions say, what the totals prove, and what stays unknown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.spans.attribute_names import COUNT_SLOTS, UNREAD, find_slot
from ingest.spans.token_usage import _choose_reading, _read_plain, read_usage

OLD_READ, OLD_WRITE = "gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cache_creation_input_tokens"
READ, WRITE = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens"
INPUT, OUTPUT, TOTAL = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.total_tokens"
VERCEL = {"ai.usage.inputTokens": 100, "ai.usage.outputTokens": 50, "ai.usage.totalTokens": 150}

# What an instrumentation writes, the provider, and the classes worked out by hand; None where they are unknown.
CASES: list[tuple[dict[str, Any], str | None, dict[str, int] | None]] = [
    ({INPUT: 1000, OUTPUT: 200}, "openai", {"input": 1000, "output": 200}),
    ({"gen_ai.usage.prompt_tokens": 1000, "gen_ai.usage.completion_tokens": 200}, "openai",
     {"input": 1000, "output": 200}),
    ({INPUT: 10500, OUTPUT: 400, READ: 9000, WRITE: 1000}, "anthropic",
     {"input": 500, "cache_read": 9000, "cache_write": 1000, "output": 400}),
    ({INPUT: 10500, OUTPUT: 400, READ: 9000, "gen_ai.usage.cache_write.input_tokens": 1000}, "anthropic",
     {"input": 500, "cache_read": 9000, "cache_write": 1000, "output": 400}),
    # the conventions' names, but the provider's input without the cache: only one reading is possible
    ({INPUT: 500, OUTPUT: 400, READ: 9000, WRITE: 1000}, "anthropic",
     {"input": 500, "cache_read": 9000, "cache_write": 1000, "output": 400}),
    # OpenLLMetry's older names: the total decides
    ({"gen_ai.usage.prompt_tokens": 10500, "gen_ai.usage.completion_tokens": 400, "llm.usage.total_tokens": 10900,
      OLD_READ: 9000, OLD_WRITE: 1000}, "anthropic",
     {"input": 500, "cache_read": 9000, "cache_write": 1000, "output": 400}),
    ({INPUT: 9500, OUTPUT: 400, TOTAL: 18900, OLD_READ: 9000}, "anthropic",
     {"input": 9500, "cache_read": 9000, "output": 400}),
    ({INPUT: 9500, OUTPUT: 400, OLD_READ: 9000}, "anthropic", None),
    ({INPUT: 9500, OUTPUT: 400, OLD_READ: 9000}, None, None),
    ({INPUT: 9500, OUTPUT: 400, OLD_READ: 9000}, "openai",
     {"input": 500, "cache_read": 9000, "output": 400}),
    ({INPUT: 500, OUTPUT: 400, OLD_READ: 9000, OLD_WRITE: 1000}, "aws",
     {"input": 500, "cache_read": 9000, "cache_write": 1000, "output": 400}),
    ({INPUT: 9500, OUTPUT: 400, READ: 9000, OLD_READ: 9000}, "anthropic",
     {"input": 500, "cache_read": 9000, "output": 400}),
    ({INPUT: 9500, OUTPUT: 400, READ: 9000, OLD_READ: 8000}, "anthropic", None),
    # OpenInference
    ({"llm.token_count.prompt": 10000, "llm.token_count.completion": 2000, "llm.token_count.total": 12000,
      "llm.token_count.prompt_details.cache_read": 8000, "llm.token_count.completion_details.reasoning": 1500},
     "openai", {"input": 2000, "cache_read": 8000, "output": 500, "reasoning": 1500}),
    ({"llm.token_count.prompt": 1000, "llm.token_count.completion": 300, "llm.token_count.prompt_details.audio": 800,
      "llm.token_count.completion_details.audio": 250}, "openai",
     {"input": 200, "input_audio": 800, "output": 50, "output_audio": 250}),
    # reasoning beside the output, as xAI counts
    ({INPUT: 2000, OUTPUT: 150, TOTAL: 5150, "gen_ai.usage.reasoning.output_tokens": 3000}, "x-ai",
     {"input": 2000, "output": 150, "reasoning": 3000}),
    # the Vercel AI SDK, old names and new
    ({"ai.usage.promptTokens": 100, "ai.usage.completionTokens": 20}, "openai", {"input": 100, "output": 20}),
    ({"ai.usage.inputTokens": 10000, "ai.usage.outputTokens": 200, "ai.usage.totalTokens": 10200,
      "ai.usage.inputTokenDetails.cacheReadTokens": 8000, "ai.usage.inputTokenDetails.cacheWriteTokens": 1500,
      "ai.usage.inputTokenDetails.noCacheTokens": 500, "ai.usage.outputTokenDetails.textTokens": 200}, "anthropic",
     {"input": 500, "cache_read": 8000, "cache_write": 1500, "output": 200}),
    # pydantic-ai repeats counts under details, and adds the provider's own
    ({INPUT: 10000, OUTPUT: 2000, READ: 8000, "gen_ai.usage.details.cache_read_tokens": 8000,
      "gen_ai.usage.details.reasoning_tokens": 1500, "gen_ai.usage.details.cached_content_tokens": 8000}, "google",
     {"input": 2000, "cache_read": 8000, "output": 500, "reasoning": 1500}),
    ({INPUT: 10000, OUTPUT: 2000, "gen_ai.usage.details.cached_content_tokens": 7}, "google", None),
    ({INPUT: 1000, OUTPUT: 2, "gen_ai.usage.audio.input_tokens": 900, READ: 500}, "openai", None),
    ({INPUT: 1000, OUTPUT: 2, "gen_ai.usage.audio.input_tokens": 900, READ: 500,
      "gen_ai.usage.audio.cache_read.input_tokens": 400}, "openai",
     {"cache_read": 100, "cache_read_audio": 400, "input_audio": 500, "output": 2}),
    ({INPUT: 1000, OUTPUT: 200, TOTAL: 5200}, "google", None),
    ({INPUT: -1, OUTPUT: 200}, "openai", None),
    ({INPUT: "1000", OUTPUT: 200.0}, "openai", {"input": 1000, "output": 200}),
    ({INPUT: "many", OUTPUT: 200}, "openai", None),
    ({INPUT: 50}, "openai", None),
    ({OUTPUT: 50}, "openai", None),
    ({INPUT: 50, TOTAL: 50}, "openai", {"input": 50}),
    ({**VERCEL, "ai.usage.cachedInputTokens": 30}, "openai", {"input": 70, "cache_read": 30, "output": 50}),
    ({**VERCEL, "ai.usage.cachedInputTokens": 30}, "anthropic", None),
    ({**VERCEL, "ai.usage.cachedInputTokens": 0}, "anthropic", {"input": 100, "output": 50}),
    ({**VERCEL, "ai.usage.cachedInputTokens": 30, "gen_ai.request.model": "claude-sonnet-4-5"}, "google", None),
    ({**VERCEL, "ai.usage.cachedInputTokens": 30, "ai.usage.inputTokenDetails.cacheReadTokens": 30}, "anthropic",
     {"input": 70, "cache_read": 30, "output": 50}),
    ({**VERCEL, "ai.usage.cachedInputTokens": 30, "ai.usage.inputTokenDetails.cacheReadTokens": 20}, "anthropic", None),
    ({TOTAL: 50}, "openai", None),
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(["input", "output", "total", "cache_read", "reasoning"]), st.integers(0, 9)))
def test_plain_counts_are_read_as_all_others_are(counts: dict[str, int]) -> None:
    if (plain := _read_plain(counts)) is not None:
        reading = _choose_reading(counts, False)
        assert reading is not None
        assert plain == {name: count for name, count in reading.tokens.items() if name in plain}
        assert sum(plain.values()) == sum(reading.tokens.values())


def to_slots(attributes: dict[str, Any]) -> dict[str, Any]:
    slots = [(find_slot(name), value) for name, value in attributes.items()]
    return {slot.name: value for slot, value in slots if slot}


@pytest.mark.parametrize(("attributes", "provider", "tokens"), CASES)
def test_counts_are_read_as_the_totals_prove(
    attributes: dict[str, Any], provider: str | None, tokens: dict[str, int] | None
) -> None:
    usage = read_usage(to_slots(attributes), provider)
    assert usage.get("tokens") == tokens
    assert usage["usage_source"] == ("unknown" if tokens is None else "reported")


@pytest.mark.parametrize("operation", ["embeddings", "rerank"])
def test_a_call_without_output_has_input_alone(operation: str) -> None:
    assert read_usage({"input": 50}, "openai", operation)["tokens"] == {"input": 50}


def test_no_count_is_a_missing_usage() -> None:
    assert read_usage({"model": "gpt-4o"}, "openai") == {"usage_source": "missing"}


_COUNTS = st.one_of(st.integers(0, 50), st.integers(), st.floats(), st.text(max_size=3), st.booleans())


@given(
    st.dictionaries(st.sampled_from([*COUNT_SLOTS, f"{UNREAD}gen_ai.usage.x"]), _COUNTS),
    st.sampled_from(["openai", "aws", None]),
)
def test_classes_sum_to_the_totals_or_the_usage_is_unknown(slots: dict[str, Any], provider: str | None) -> None:
    usage = read_usage(slots, provider)
    if usage["usage_source"] != "reported":
        assert "tokens" not in usage
        return
    total = slots.get("total")
    reported = usage["reported_tokens"]
    assert sum(usage["tokens"].values()) == reported["input"] + reported["output"]
    assert total is None or float(total) == sum(usage["tokens"].values())
    assert all(count >= 0 for count in usage["tokens"].values())
