"""Compile a price book from the catalogue of genai-prices and the additions to it."""

import importlib.metadata
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from genai_prices import data, types

from ledger.money import round_rate
from ledger.pricing.catalogue_additions import Additions, read_additions
from ledger.pricing.price_book import (
    AnyRate,
    Clause,
    Condition,
    Daily,
    Hourly,
    Price,
    PriceBook,
    PricedModel,
    Provider,
    Tier,
    Tiered,
    Variant,
)
from ledger.token_classes import PRICED_AS, decimals

_KEYS = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cache_read_audio",
    "output_audio_mtok": "output_audio",
    "input_image_mtok": "input_image",
    "cache_image_read_mtok": "cache_read_image",
    "output_image_mtok": "output_image",
    "requests_kcount": "requests",
    "web_searches_kcount": "web_searches",
    "input_document_kpages": "pages",
    "input_mchars": "characters",
    "audio_hours": "seconds",
    "input_audio_hours": "seconds",
}
"""Rates of the catalogue, and the classes that they price. The others count what no event has: video, citations, pages
with annotations, messages, and searches of a store."""

_FIELDS = {"processing": "service_tier", "service_tier": "service_tier", "speed": "speed"}
"""Keys of the catalogue's request context that an event states. ``route`` and ``search_type`` are on no event."""

_LEAST_SECONDS = {("groq", "whisper-large-v3"): 10, ("groq", "whisper-large-v3-turbo"): 10}
"""Seconds that a call is charged at least. The catalogue has them in its calculation, not in its data."""
_CLAUSES = {"or_": "any_of", "and_": "all_of"}


def genai_prices() -> PriceBook:
    """Compile the catalogue of the installed genai-prices with its variants and the additions to it, in dollars."""
    version = importlib.metadata.version("genai-prices")
    additions = read_additions()
    return PriceBook(
        name="genai-prices",
        currency="USD",
        origin=f"genai-prices {version} with additions of {additions.read_on}",
        priced_as=PRICED_AS,
        providers=tuple(_convert_provider(provider, additions) for provider in data.providers),
    )


def _convert_provider(provider: types.Provider, additions: Additions) -> Provider:
    return Provider(
        id=provider.id,
        match=_convert_clause(provider.provider_match),
        model_match=_convert_clause(provider.model_match),
        models_of=tuple(provider.fallback_model_providers or ()),
        models=tuple(_convert_model(provider.id, model, additions) for model in provider.models),
    )


def _convert_model(provider_id: str, model: types.ModelInfo, additions: Additions) -> PricedModel:
    least_s = _LEAST_SECONDS.get((provider_id, model.id))
    weekdays = additions.find_weekdays(provider_id, model.id)
    prices = tuple(
        price.model_copy(update={"weekdays": weekdays}) if price.daily and weekdays else price
        for price in _convert_prices(model.prices, least_s)
    )
    variants = [variant for part in model.price_variants or () if (variant := _convert_variant(part, least_s))]
    return PricedModel(
        id=model.id,
        match=_require_clause(_convert_clause(model.match)),
        context_window=model.context_window or None,
        prices=prices,
        variants=(*variants, *additions.list_variants(provider_id, model.id)),
        priced_as=additions.find_fallbacks(provider_id, model.id, has_modality=_has_modality(model)),
    )


def _has_modality(model: types.ModelInfo) -> bool:
    """Tell whether the catalogue has a rate of some modality for a model. It then knows of the others that they cost
    what text costs, as its registry of units says."""
    prices = [model.prices] if isinstance(model.prices, types.ModelPrice) else [part.prices for part in model.prices]
    keys = {key for price in prices for key, value in vars(price).items() if value is not None}
    return any(word in key for key in keys if key.endswith("_mtok") for word in ("audio", "image", "video"))


def _convert_variant(variant: types.PriceVariant, least_s: int | None) -> Variant | None:
    """Convert a variant; None where no event states its conditions, or they are those of the base price."""
    if not variant.when.keys() <= _FIELDS.keys():
        return None
    rates = _convert_rates(variant.prices, least_s)
    stated = {_FIELDS[key]: value for key, value in variant.when.items()}
    if stated == {"service_tier": "default"} and not rates:
        return None
    return Variant(when=Condition(**stated), rates=rates, **_convert_constraint(variant.constraint))


def _require_clause(clause: Clause | None) -> Clause:
    assert clause is not None
    return clause


def _convert_clause(clause: Any) -> Clause | None:
    if clause is None:
        return None
    ((name, value),) = vars(clause).items()
    if isinstance(value, list):
        return Clause.model_validate({_CLAUSES[name]: tuple(_convert_clause(part) for part in value)})
    return Clause.model_validate({name: value})


def _convert_prices(prices: Any, least_s: int | None) -> Iterable[Price]:
    if isinstance(prices, types.ModelPrice):
        yield Price(rates=_convert_rates(prices, least_s))
        return
    # Where no condition holds the catalogue takes its first price: it is written as one without condition.
    if all(price.constraint is not None for price in prices):
        yield Price(rates=_convert_rates(prices[0].prices, least_s))
    for price in prices:
        yield Price(rates=_convert_rates(price.prices, least_s), **_convert_constraint(price.constraint))


def _convert_constraint(constraint: Any) -> dict[str, Any]:
    match constraint:
        case types.StartDateConstraint(start_date=day):
            return {"since": datetime(day.year, day.month, day.day, tzinfo=UTC)}
        case types.TimeOfDateConstraint(start_time=start, end_time=end):
            return {"daily": Daily(start=_convert_to_utc(start), end=_convert_to_utc(end))}
    return {}


def _convert_to_utc(moment: Any) -> Any:
    day = datetime(2000, 1, 2, moment.hour, moment.minute, moment.second, tzinfo=moment.tzinfo or UTC)
    return day.astimezone(UTC).time()


def _convert_rates(price: types.ModelPrice, least_s: int | None) -> dict[str, AnyRate]:
    rates: dict[str, AnyRate] = {}
    for key, value in vars(price).items():
        name = _KEYS.get(key)
        if name is None or value is None:
            continue
        if name == "seconds":
            rates[name] = Hourly(per_hour=value, least_s=least_s)
            continue
        scale = Decimal(1000) if name == "characters" else Decimal(1)  # a million of them; ours is a thousand
        places = decimals(name)
        if isinstance(value, types.TieredPrices):
            tiers = tuple(Tier(above=tier.start, rate=round_rate(tier.price / scale, places)) for tier in value.tiers)
            rates[name] = Tiered(base=round_rate(value.base / scale, places), tiers=tiers)
        else:
            rates[name] = round_rate(value / scale, places)
    return rates
