"""Unknown is never free: laws of the bound, and of the state of every counted call."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from ledger.token_classes import INPUT_CLASSES, OUTPUT_CLASSES, QUANTITY_CLASSES, TOKEN_CLASSES
from streams.replay import replay_outcomes
from tests.streams.build import call, control, record

WINDOW = 2_000
BOOK = f"""
name: test
currency: USD
priced_as: {{input_image: [input], output_image: [output]}}
providers:
  - id: acme
    model_match: {{starts_with: m}}
    models:
      - id: m1
        context_window: {WINDOW}
        prices:
          - rates:
              input: {{base: 1, tiers: [{{above: 100, rate: 2}}, {{above: 1000, rate: 5}}]}}
              cache_read: 0.1
              cache_write_1h: {{base: 3, tiers: [{{above: 500, rate: 4}}]}}
              input_audio: 30
              output: {{base: 10, tiers: [{{above: 100, rate: 20}}]}}
              output_audio: 60
      - id: m2
        prices: [{{rates: {{output: 7, requests: 3}}}}]
"""
DIGEST, PACKED = pack_book(parse_book(BOOK, "the test"))
ADOPTION = control("book", "price_book.adopted", name="test", document=DIGEST)

counts = st.dictionaries(st.sampled_from(TOKEN_CLASSES), st.integers(0, 400), min_size=1, max_size=5)


def judge(*calls: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of these calls, priced by the book."""
    lines = [call(str(number), **({"tokens": None} | fields)) for number, fields in enumerate(calls)]
    return replay_outcomes([record(0, ADOPTION), record(1, *lines)], {DIGEST: PACKED})[1:]


def cost(line: dict[str, Any]) -> Decimal:
    assert line["pricing"] in ("priced", "free"), line
    return sum((Decimal(one["list_cost"]) for one in line["lines"]), Decimal(0))


def bound(line: dict[str, Any]) -> Decimal:
    assert line["pricing"] == "unknown" and not line["lines"], line
    return Decimal(line["greatest_unpriced_cost"])


def sums(tokens: dict[str, int]) -> tuple[int, int]:
    return (
        sum(tokens[name] for name in tokens if name in INPUT_CLASSES),
        sum(tokens[name] for name in tokens if name in OUTPUT_CLASSES),
    )


@given(counts, st.sampled_from(("sides", "total", "all", "input and total")))
def test_no_split_of_totals_into_classes_costs_more_than_the_bound(tokens: dict[str, int], told: str) -> None:
    before, after = sums(tokens)
    totals = {
        "sides": {"input": before, "output": after},
        "total": {"total": before + after},
        "all": {"input": before, "output": after, "total": before + after},
        "input and total": {"input": before, "total": before + after},
    }[told]
    true, unknown = judge(
        {"model": "m1", "tokens": tokens},
        {"model": "m1", "reported_tokens": totals, "usage_source": "unknown", "provider_usage": {"n": 1}},
    )
    assert cost(true) <= bound(unknown)


@given(counts, st.sampled_from(("openai", "beside", "anthropic", "gemini", "without total")))
def test_no_reading_of_a_usage_block_costs_more_than_the_bound(tokens: dict[str, int], form: str) -> None:
    before, after = sums(tokens)
    hidden = tokens.get("reasoning", 0)
    cached = sum(count for name, count in tokens.items() if name.startswith("cache"))
    blocks: dict[str, dict[str, Any]] = {
        "openai": {
            "prompt_tokens": before, "completion_tokens": after, "total_tokens": before + after,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": hidden},
        },
        "beside": {
            "prompt_tokens": before, "completion_tokens": after - hidden, "total_tokens": before + after,
            "completion_tokens_details": {"reasoning_tokens": hidden},
        },
        "anthropic": {"input_tokens": before - cached, "cache_read_input_tokens": cached, "output_tokens": after},
        "gemini": {
            "promptTokenCount": before, "candidatesTokenCount": after - hidden, "thoughtsTokenCount": hidden,
            "totalTokenCount": before + after,
        },
        "without total": {
            "prompt_tokens": before, "completion_tokens": after - hidden,
            "completion_tokens_details": {"reasoning_tokens": hidden},
        },
    }  # fmt: skip
    true, unknown = judge(
        {"model": "m1", "tokens": tokens}, {"model": "m1", "usage_source": "unknown", "provider_usage": blocks[form]}
    )
    assert cost(true) <= bound(unknown)


@given(counts, st.integers(0, 3 * WINDOW), st.integers(1, 3))
def test_no_call_within_its_context_window_costs_more_than_the_bound(
    tokens: dict[str, int], max_tokens: int, calls: int
) -> None:
    before, after = sums(tokens)
    fits = before + after <= WINDOW and after <= max_tokens
    each = {name: count * calls for name, count in tokens.items()}
    true, limited, free = judge(
        {"model": "m1", "tokens": each, "calls": calls},
        {"model": "m1", "usage_source": "missing", "max_tokens": max_tokens, "calls": calls},
        {"model": "m1", "usage_source": "missing", "calls": calls},
    )
    if fits:
        assert cost(true) <= bound(limited)
    if before + after <= WINDOW:
        assert cost(true) <= bound(free)


@given(counts, st.sampled_from(("input", "output", "total")), st.integers(1, 900))
def test_a_quarantined_call_is_bounded_by_the_greater_of_classes_and_totals(
    tokens: dict[str, int], side: str, extra: int
) -> None:
    before, after = sums(tokens)
    total = {"input": before, "output": after, "total": before + after}[side] + extra
    true, quarantined = judge(
        {"model": "m1", "tokens": tokens}, {"model": "m1", "tokens": tokens, "reported_tokens": {side: total}}
    )
    assert quarantined["outcome"] == "quarantined"
    assert cost(true) < Decimal(quarantined["greatest_unpriced_cost"])
    assert quarantined["unknown_tokens"] >= before + after


usage = st.fixed_dictionaries(
    {"model": st.sampled_from(("m1", "m2", "unheard of"))},
    optional={
        "tokens": counts,
        "quantities": st.dictionaries(st.sampled_from(QUANTITY_CLASSES), st.integers(0, 3), max_size=2),
        "reported_tokens": st.dictionaries(st.sampled_from(("input", "output", "total")), st.integers(0, 3)),
        "provider_usage": st.just({"total_tokens": 5}),
        "status": st.sampled_from(("ok", "error", "refused", "aborted")),
        "response_cache": st.sampled_from(("hit", "miss")),
        "payer": st.sampled_from(("platform", "customer")),
        "calls": st.integers(1, 5),
    },
)


@given(usage)
def test_every_counted_call_is_priced_or_free_by_rule_or_known_to_be_unknown(fields: dict[str, Any]) -> None:
    (line,) = judge(fields)
    if line["outcome"] != "counted":
        return
    lines, pricing = line["lines"], line["pricing"]
    priced = [one for one in lines if one["list_cost"] is not None]
    if pricing == "free":
        told = [*fields.get("tokens", {}).values(), *fields.get("quantities", {}).values()]
        told += fields.get("reported_tokens", {}).values()
        says_zero = bool(told) and not any(told)
        refused = fields.get("status") == "refused" and not any(told)
        assert not lines and (fields.get("response_cache") == "hit" or refused or says_zero)
    elif pricing == "priced":
        assert len(priced) == len(lines) > 0
    else:
        assert line["unpriced_reason"] and pricing in ("unknown", "unpriced", "partially_priced")
        assert pricing == "unknown" or len(priced) < len(lines)
