"""Compile a price book from the catalogue of genai-prices."""

import importlib.metadata
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from genai_prices import data, types

from ledger.money import round_rate
from ledger.pricing.price_book import Clause, Daily, Price, PriceBook, PricedModel, Provider, Tier, Tiered
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
}
_CLAUSES = {"or_": "any_of", "and_": "all_of"}


def genai_prices() -> PriceBook:
    """Compile the catalogue of the installed genai-prices, in dollars, without its batch variants."""
    version = importlib.metadata.version("genai-prices")
    return PriceBook(
        name="genai-prices",
        currency="USD",
        origin=f"genai-prices {version}",
        providers=tuple(_convert_provider(provider) for provider in data.providers),
    )


def complete_rates(rates: dict[str, Any]) -> dict[str, Any]:
    complete = dict(rates)
    for name, fallback in PRICED_AS.items():
        if name not in complete and fallback in complete:
            complete[name] = complete[fallback]
    return complete


def _convert_provider(provider: types.Provider) -> Provider:
    return Provider(
        id=provider.id,
        match=_convert_clause(provider.provider_match),
        model_match=_convert_clause(provider.model_match),
        models_of=tuple(provider.fallback_model_providers or ()),
        models=tuple(
            PricedModel(
                id=model.id,
                match=_require_clause(_convert_clause(model.match)),
                context_window=model.context_window or None,
                prices=tuple(_convert_prices(model.prices)),
            )
            for model in provider.models
        ),
    )


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


def _convert_prices(prices: Any) -> Iterable[Price]:
    if isinstance(prices, types.ModelPrice):
        yield Price(rates=_convert_rates(prices))
        return
    # Where no condition holds the catalogue takes its first price: it is written as one without condition.
    if all(price.constraint is not None for price in prices):
        yield Price(rates=_convert_rates(prices[0].prices))
    for price in prices:
        match price.constraint:
            case types.StartDateConstraint(start_date=day):
                since = datetime(day.year, day.month, day.day, tzinfo=UTC)
                yield Price(since=since, rates=_convert_rates(price.prices))
            case types.TimeOfDateConstraint(start_time=start, end_time=end):
                yield Price(
                    daily=Daily(start=_convert_to_utc(start), end=_convert_to_utc(end)),
                    rates=_convert_rates(price.prices),
                )
            case _:
                yield Price(rates=_convert_rates(price.prices))


def _convert_to_utc(moment: Any) -> Any:
    day = datetime(2000, 1, 2, moment.hour, moment.minute, moment.second, tzinfo=moment.tzinfo or UTC)
    return day.astimezone(UTC).time()


def _convert_rates(price: types.ModelPrice) -> dict[str, Decimal | Tiered]:
    rates: dict[str, Decimal | Tiered] = {}
    for key, value in vars(price).items():
        name = _KEYS.get(key)
        if name is None or value is None:
            continue
        places = decimals(name)
        if isinstance(value, types.TieredPrices):
            tiers = tuple(Tier(above=tier.start, rate=round_rate(tier.price, places)) for tier in value.tiers)
            rates[name] = Tiered(base=round_rate(value.base, places), tiers=tiers)
        else:
            rates[name] = round_rate(value, places)
    return complete_rates(rates)
