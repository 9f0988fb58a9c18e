"""Our prices against genai-prices' own calculation: each of its models, variants, tiers of context, classes and times.

A difference stands in ``REASONS``, or the test fails.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices import data, types

from ledger.money import PICO, round_rate
from ledger.pricing.genai_prices import genai_prices as compile_catalogue
from ledger.pricing.price_book import Clause, PriceBook, PricedModel
from streams.folds.call import convert_call
from streams.folds.entry import Entry
from streams.folds.event import Event
from streams.folds.prices.price_lookup import Catalogue
from streams.folds.rating import BOOKS, rate_call
from streams.folds.state import State

NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
SATURDAY = datetime(2026, 11, 14, 2, 30, tzinfo=UTC)
OTHER_TIMES = (datetime(2026, 11, 10, 2, 30, tzinfo=UTC), SATURDAY, datetime(2025, 3, 1, 20, tzinfo=UTC))
"""In an hour that some provider prices apart, on a day without such hours, and before most prices begin."""

USAGE: dict[str, tuple[str, ...]] = {
    "input": ("input_tokens",),
    "cache_read": ("cache_read_tokens", "input_tokens"),
    "cache_write": ("cache_write_tokens", "input_tokens"),
    "cache_write_5m": ("cache_write_5m_tokens", "cache_write_tokens", "input_tokens"),
    "cache_write_1h": ("cache_write_1h_tokens", "cache_write_tokens", "input_tokens"),
    "output": ("output_tokens",),
    "reasoning": ("output_reasoning_tokens", "output_tokens"),
    "input_audio": ("input_audio_tokens", "input_tokens"),
    "cache_read_audio": ("cache_audio_read_tokens", "cache_read_tokens", "input_audio_tokens", "input_tokens"),
    "output_audio": ("output_audio_tokens", "output_tokens"),
    "input_image": ("input_image_tokens", "input_tokens"),
    "cache_read_image": ("cache_image_read_tokens", "cache_read_tokens", "input_image_tokens", "input_tokens"),
    "output_image": ("output_image_tokens", "output_tokens"),
    "web_searches": ("web_searches",),
    "pages": ("input_document_pages",),
    "characters": ("input_characters",),
    "seconds": ("audio_seconds", "input_audio_seconds"),
}
"""The catalogue's counts that hold a class: a cached image is counted among images, cached tokens and input."""
QUANTITIES = ("web_searches", "pages", "characters", "seconds")
MODALITIES = ("input_audio", "cache_read_audio", "output_audio", "input_image", "cache_read_image", "output_image")

REASONS = {
    "equal": "to the last digit; hours of audio rounded to 10^-12",
    "no rate": "a class without a rate costs nothing there, and is unpriced here",
    "modality": "audio or images without a rate cost what text costs there, and are unpriced here",
    "too early": "a variant before its day costs the base price there, and is unpriced here",
    "addition": "a batch of Claude before the catalogue's day, which catalogue_additions.yaml prices",
    "weekend": "DeepSeek's peak is from Monday to Friday, which genai-prices cannot say",
    "rounded": "a rate of more than 6 decimals (or 9) is rounded here",
}


def list_contexts(model: types.ModelInfo) -> Iterator[dict[str, str]]:
    """List the request contexts of a model's variants that an event can state, and none."""
    yield {}
    for variant in model.price_variants or ():
        if variant.when.keys() <= {"processing", "service_tier", "speed"}:
            yield dict(variant.when)


def list_cases(model: types.ModelInfo) -> Iterator[dict[str, int]]:
    """List the usage to compare: each class alone, and calls of each tier of context."""
    for name in USAGE:
        yield {name: 1_234_567 if name not in QUANTITIES else 11}
    yield {"seconds": 3}
    prices = [model.prices] if isinstance(model.prices, types.ModelPrice) else [part.prices for part in model.prices]
    prices += [variant.prices for variant in model.price_variants or ()]
    tiered = [value for price in prices for value in vars(price).values() if isinstance(value, types.TieredPrices)]
    for start in {tier.start for value in tiered for tier in value.tiers} | {50_000}:
        for excess in (0, 1):
            yield {
                "input": start + excess - 1000,
                "cache_read": 600,
                "cache_write": 400,
                "output": 777,
                "reasoning": 33,
            }


def calculate(
    provider: types.Provider, model: types.ModelInfo, usage: Mapping[str, int], context: dict[str, str], time: datetime
) -> tuple[Decimal, types.ModelPrice]:
    counts: Counter[str] = Counter()
    for name, quantity in usage.items():
        counts.update(dict.fromkeys(USAGE[name], quantity))
    result = model.calc_price(
        genai_prices.Usage(**counts), provider, genai_request_timestamp=time, price_context=context or None
    )
    return result.total_price, result.model_price


def rate(
    catalogue: Catalogue, provider: str, model: str, usage: Mapping[str, int], context: dict[str, str], time: datetime
) -> Entry:
    words = {"service_tier" if key == "processing" else key: value for key, value in context.items()}
    fields: dict[str, Any] = {"provider": provider, "model": model, **words}
    fields["tokens"] = {name: quantity for name, quantity in usage.items() if name not in QUANTITIES}
    fields["quantities"] = {name: quantity for name, quantity in usage.items() if name in QUANTITIES}
    call = convert_call({name: value for name, value in fields.items() if value})
    assert call is not None
    books = State()
    books.put(BOOKS, (("genai-prices", "d"),))
    event = Event(0, "o", "inference", time_us=int(time.timestamp()) * 10**6)
    return rate_call(event, call, books, lambda _: catalogue)


def is_exact(price: types.ModelPrice) -> bool:
    values = [value for value in vars(price).values() if value is not None]
    figures = [
        figure
        for value in values
        for figure in (
            [value.base, *(tier.price for tier in value.tiers)] if isinstance(value, types.TieredPrices) else [value]
        )
    ]
    return all(round_rate(figure, 6) == figure for figure in figures)


def explain(entry: Entry, expected: Decimal, usage: Mapping[str, int], context: dict[str, str], **facts: Any) -> str:
    """Return why a price differs from the catalogue's; a key of REASONS, or what is wrong."""
    cost = Decimal(entry.list_cost) / PICO
    if entry.unpriced is None:
        if cost == round_rate(expected, 12):
            return "equal"
        if facts["provider"] == "deepseek" and facts["time"] is SATURDAY and cost * 2 == round_rate(expected, 12):
            return "weekend"
        if context and facts["is_early"] and facts["provider"] == "anthropic":
            return "addition"
        return "rounded" if not facts["is_exact"] else f"ours {cost}, theirs {expected}"
    if context and b"no rate for s" in entry.rated and facts["is_early"]:
        return "too early"
    if len(usage) == 1 and set(usage) <= set(MODALITIES) and cost == facts["fee"] and expected > cost:
        return "modality"
    return "no rate" if cost == round_rate(expected, 12) else f"unpriced {entry.rated!r}, theirs {expected}"


def compare_provider(provider: types.Provider, models: Mapping[str, PricedModel], book: PriceBook) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for model in provider.models:
        own = models[model.id].model_copy(update={"match": Clause(equals=model.id)})
        (seller,) = (seller for seller in book.providers if seller.id == provider.id)
        seller = seller.model_copy(update={"models": (own,), "models_of": ()})
        catalogue = Catalogue("d", book.model_copy(update={"providers": (seller,)}))
        has_time = not isinstance(model.prices, types.ModelPrice) or model.price_variants
        for time in (NOON, *OTHER_TIMES) if has_time else (NOON,):
            for context in list_contexts(model):
                is_early = bool(context) and not any(
                    variant.when == context and (variant.constraint is None or variant.constraint.active(time))
                    for variant in model.price_variants or ()
                )
                fee, _ = calculate(provider, model, {}, context, time)
                for usage in list_cases(model):
                    expected, price = calculate(provider, model, usage, context, time)
                    entry = rate(catalogue, provider.id, model.id, usage, context, time)
                    facts = {
                        "is_early": is_early,
                        "provider": provider.id,
                        "is_exact": is_exact(price),
                        "fee": fee,
                        "time": time,
                    }
                    reason = explain(entry, expected, usage, context, **facts)
                    assert reason in REASONS, (provider.id, model.id, context, usage, time, reason)
                    reasons[reason] += 1
    return reasons


@pytest.mark.timeout(900)
def test_every_price_is_the_catalogues_or_stands_in_the_list() -> None:
    book = compile_catalogue()
    models = {provider.id: {model.id: model for model in provider.models} for provider in book.providers}
    reasons: Counter[str] = Counter()
    for provider in data.providers:
        reasons += compare_provider(provider, models[provider.id], book)
    assert reasons.keys() == REASONS.keys(), "a reason that nothing has is taken out"
    assert reasons["equal"] > 25_000, reasons
