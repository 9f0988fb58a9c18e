"""The list of differences from LiteLLM's price map: which models and rates are compared, and how they are written."""

from datetime import UTC, datetime

import pytest

from ledger.pricing.price_book_file import parse_book
from tools.compare_prices import BEGIN, DOCUMENT, END, PROVIDERS, compare, parse_key

BOOK = """
name: test
currency: USD
providers:
  - id: openai
    models:
      - id: lion
        prices: [{rates: {input: {base: 2, tiers: [{above: 200000, rate: 4}]}, output: 8}}]
        variants: [{when: {service_tier: batch}, rates: {input: 1}}]
      - {id: cub, match: {starts_with: lion-}, prices: [{rates: {input: 2}}]}
"""


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("input_cost_per_token", ("input", None, 0)),
        ("input_cost_per_token_batches", ("input", "batch", 0)),
        ("output_cost_per_token_above_272k_tokens_priority", ("output", "priority", 272_000)),
        ("cache_creation_input_token_cost_above_1hr", ("cache_write_1h", None, 0)),
        ("output_cost_per_image", None),
        ("max_tokens", None),
    ],
)
def test_keys_of_rates_are_read(key: str, expected: object) -> None:
    assert parse_key(key) == expected


def test_only_rates_that_both_name_differ() -> None:
    prices = {
        "lion": {
            "litellm_provider": "openai", "input_cost_per_token": 2e-06, "input_cost_per_token_batches": 1.5e-06,
            "input_cost_per_token_above_200k_tokens": 4e-06, "output_cost_per_token": 9e-06, "output_cost_per_image": 1,
            "input_cost_per_token_flex": 1e-06,
        },
        "lion-1": {"litellm_provider": "openai", "input_cost_per_token": 3e-06},
        "openai/lion-2": {"litellm_provider": "openai", "input_cost_per_token": 3e-06},
        "eu/openai/lion-3": {"litellm_provider": "openai", "input_cost_per_token": 7e-06},
        "tiger": {"litellm_provider": "openai", "input_cost_per_token": 7e-06},
        "of-nobody": {"litellm_provider": "elsewhere", "input_cost_per_token": 7e-06},
        "sample_spec": "text",
    }  # fmt: skip
    assert compare(prices, parse_book(BOOK, "test"), datetime(2026, 11, 30, tzinfo=UTC)) == {
        "openai: 3 of 3 models": [
            "- `lion`: batch input 1.5, here 1; output 9, here 8; flex unpriced here",
            "- `lion-1`, `lion-2`: input 3, here 2",
        ]
    }


def test_the_document_holds_the_list() -> None:
    """It stands on a page of its own, to which the page of prices points."""
    text = DOCUMENT.read_text()
    part = text[text.index(BEGIN) : text.index(END)]
    assert "Of LiteLLM 1.110.2 against genai-prices" in part
    assert all(f"<details><summary>{provider}: " in part for provider in PROVIDERS.values())
    prices = DOCUMENT.with_name("prices.md").read_text()
    assert f"({DOCUMENT.name})" in prices and BEGIN not in prices
