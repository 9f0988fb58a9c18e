"""Describe the price of an entry as its book has it: the model and its clause, when the price holds, the variants that
applied, and where the rate of each class comes from."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Any, NamedTuple

from ledger.money import pico
from ledger.pricing.price_book import AnyRate, Price, PriceBook, PricedModel, Tiered, Validity, Variant
from ledger.token_classes import TOKEN_CLASSES, rate_unit
from tallystick.vocabulary.base import format_decimal

Facts = dict[str, Any]


class _OwnRate(NamedTuple):
    """A rate that a class has itself, and the place of the variant that gives it; None where the price does."""

    rate: AnyRate
    variant: int | None


def describe_price(book: PriceBook, content: Facts) -> Facts:
    """Describe the price of an entry, with the rates of its lines; nothing where the book has no such price."""
    price, model, facts = _find_price(book, content["price_id"])
    if price is None or model is None:
        return facts
    places = [int(number) for number in re.findall(r"\+(\d+)", content["price_id"].rpartition("#")[2])]
    variants = {place: model.variants[place] for place in places if place < len(model.variants)}
    if variants:
        facts["variants"] = [_describe_variant(place, variant) for place, variant in variants.items()]
    rates = _list_own_rates(price, variants)
    multiplier = prod(
        (variant.multiplier for variant in variants.values() if variant.multiplier is not None), start=Decimal(1)
    )
    priced_as = {**book.priced_as, **(model.priced_as or {})}
    facts |= _describe_validity(price)
    facts["rates"] = {
        line["class"]: _describe_rate(priced_as, rates, multiplier, line["class"], line["unit_price"])
        for line in content["lines"]
    }
    return facts


def _find_price(book: PriceBook, price_id: str) -> tuple[Price | None, PricedModel | None, Facts]:
    stem, _, place = price_id.rpartition("#")
    digits = re.match(r"\d+", place)
    for provider in book.providers:
        for model in provider.models:
            if f"{book.name}/{provider.id}/{model.id}" == stem and digits and int(digits[0]) < len(model.prices):
                place_facts: Facts = {"place": int(digits[0]), "prices": len(model.prices)}
                return model.prices[int(digits[0])], model, _describe_model(provider.id, model) | place_facts
    return None, None, {}


def _describe_model(provider: str, model: PricedModel) -> Facts:
    clause = model.match.model_dump(mode="json", exclude_none=True)
    window = {} if model.context_window is None else {"context_window": model.context_window}
    return {"provider": provider, "model": model.id, "match": clause} | window


def _describe_validity(validity: Validity) -> Facts:
    facts: Facts = {}
    if validity.since is not None:
        facts["since"] = validity.since.isoformat()
    if validity.until is not None:
        facts["until"] = validity.until.isoformat()
    if validity.weekdays:
        facts["weekdays"] = list(validity.weekdays)
    if validity.daily is not None:
        facts["daily"] = f"{validity.daily.start.isoformat()} to {validity.daily.end.isoformat()} UTC"
    return facts


def _describe_variant(place: int, variant: Variant) -> Facts:
    """Describe a variant that applied: its place, counted from 0, what it is for, and its effect."""
    effect: Facts = {} if variant.multiplier is None else {"multiplier": format_decimal(variant.multiplier)}
    effect |= {} if variant.rates is None else {"classes": list(variant.rates)}
    return {"place": place, "when": variant.when.stated} | effect | _describe_validity(variant)


def _list_own_rates(price: Price, variants: Mapping[int, Variant]) -> dict[str, _OwnRate]:
    """List the rates by class before multipliers: that of the first variant which has one, else the price's."""
    rates: dict[str, _OwnRate] = {name: _OwnRate(rate, None) for name, rate in price.rates.items()}
    for place, variant in reversed(list(variants.items())):
        rates |= {name: _OwnRate(rate, place) for name, rate in (variant.rates or {}).items()}
    return rates


def _describe_rate(
    priced_as: Mapping[str, Sequence[str]],
    rates: Mapping[str, _OwnRate],
    multiplier: Decimal,
    name: str,
    unit_price: str | None,
) -> Facts:
    """Describe where a class has its rate from: its own, or that of a class on which it falls back; the variant that
    gave it, the multiplier, and its tiers."""
    if unit_price is None:
        return {}
    owner = name if name in rates else next((other for other in priced_as.get(name, ()) if other in rates), name)
    per = rate_unit(name)
    facts: Facts = {"per": per} if owner == name else {"per": per, "falls_back_on": owner}
    own = rates.get(owner)
    if own is None:
        return facts
    if own.variant is not None:
        facts["variant"] = own.variant
    factor = Fraction(multiplier) if owner in TOKEN_CLASSES else Fraction(1)
    if factor != 1:
        facts["multiplier"] = format_decimal(multiplier)
    if isinstance(own.rate, Tiered):
        steps = [(0, own.rate.base), *((tier.above, tier.rate) for tier in own.rate.tiers)]
        reached = [above for above, rate in steps if Fraction(pico(rate)) * factor == pico(unit_price) * per]
        facts["tiers"] = [{"above": above, "rate": str(rate)} for above, rate in steps]
        if len(reached) == 1:
            facts["tier_above"] = reached[0]
    return facts
