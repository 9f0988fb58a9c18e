"""Compare a book of one's own with the catalogue: what its names reach, and what it leaves to be guessed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from ledger.errors import TallyError
from ledger.money import PICO
from ledger.pricing.genai_prices import genai_prices
from ledger.pricing.price_book import PriceBook, PricedModel, Provider, Validity
from ledger.pricing.price_book_file import read_book_file
from ledger.token_classes import rate_unit
from streams.folds.event import EPOCH
from streams.folds.prices.clauses import is_match
from streams.folds.prices.offer import DAY_US, HourlyPrice, Offer, UnitPrice, compile_offers, compile_terms


def load_book(file: Path | None) -> tuple[PriceBook, list[str]]:
    """Load a book from a file, its names extended as the catalogue knows them, and what its writer may not expect;
    without a file the installed catalogue. TallyError where the file is not a price book."""
    catalogue = genai_prices()
    if file is None:
        return catalogue, []
    book = read_book_file(file, lambda content: extend_matches(content, catalogue))
    if book.name == catalogue.name:
        raise TallyError(
            f"the price book {file} has the name {book.name!r}, and would replace the catalogue: give it another name"
        )
    return book, list_warnings(book, catalogue)


def extend_matches(content: dict[str, Any], catalogue: PriceBook) -> None:
    """Give each model of a book's content that has no ``match`` the names by which the catalogue knows it, dated ones
    included. One stays as it is where another model of the book is meant by these names."""
    for provider in content["providers"]:
        ids = [str(model["id"]) for model in provider["models"]]
        for model in provider["models"]:
            known = _find_model(_find_provider(catalogue, str(provider["id"])), str(model["id"]))
            if "match" in model or known is None:
                continue
            if not any(is_match(known.match, id.lower()) for id in ids if id != str(model["id"])):
                clauses = [{"equals": model["id"]}, known.match.model_dump(exclude_none=True)]
                model["match"] = {"any_of": clauses}


def list_warnings(book: PriceBook, catalogue: PriceBook) -> list[str]:
    """Return what a book's writer may not expect: names, hosts and classes that the book does not reach."""
    return [warning for provider in book.providers for warning in _list_provider_warnings(book, provider, catalogue)]


def _list_provider_warnings(book: PriceBook, provider: Provider, catalogue: PriceBook) -> Iterator[str]:
    known_provider = _find_provider(catalogue, provider.id)
    if known_provider is None:
        return
    own_ids = {own.id.lower() for own in book.providers}
    resellers = [other.id for other in catalogue.providers if known_provider.id in other.models_of]
    if absent := [id for id in resellers if id.lower() not in own_ids]:
        yield (
            f"provider {provider.id}: {', '.join(absent)} sells its models too, at the catalogue's price. To price "
            f"them by this book, add a provider with `id: {absent[0]}`, `models_of: [{provider.id}]` and `models: []`."
        )
    for model in provider.models:
        known = _find_model(known_provider, model.id)
        if known is None:
            continue
        if model.match.equals is not None and known.match.equals is None:
            yield (
                f"model {provider.id}/{model.id}: takes this name only, and the catalogue's {known.id} takes others, "
                "such as dated ones. Leave `match` out to take them all, or name them."
            )
        own_offers = compile_offers("own", book, provider.id, model)
        listed_offers = compile_offers("list", catalogue, known_provider.id, known)
        moments_us = list_moments([*model.prices, *known.prices])
        gaps = find_gaps(own_offers, listed_offers, moments_us)
        yield from _describe_gaps(f"{provider.id}/{model.id}", gaps, _list_absent_conditions(model, known))


class Gap(NamedTuple):
    """A class that a model of the list has a price for, and one's own does not name: its unit prices in the list, of
    one's own if it has one, and the class whose rate that is. ``is_listed`` is True where no price of one's own holds
    at the moment, so that the list's is charged."""

    time_us: int
    listed: UnitPrice
    own: UnitPrice | None = None
    source: str | None = None
    is_listed: bool = False


def find_gaps(own: Sequence[Offer], listed: Sequence[Offer], moments_us: Iterable[int]) -> dict[str, Gap]:
    """Find the classes that the list prices and one's own prices do not name, each at the latest moment at which it is
    priced by the list, not at all, or as another class from which the list tells it apart."""
    gaps: dict[str, Gap] = {}
    for time_us in sorted(moments_us):
        list_offer = next((offer for offer in listed if offer.holds(time_us)), None)
        own_offer = next((offer for offer in own if offer.holds(time_us)), None)
        for name, price in {} if list_offer is None else list_offer.unit_prices.items():
            gap = _find_gap(name, time_us, price, own_offer, list_offer)
            if gap is not None:
                gaps[name] = gap
    return gaps


def _find_gap(name: str, time_us: int, price: UnitPrice, own: Offer | None, listed: Offer | None) -> Gap | None:
    if own is None:
        return Gap(time_us, price, is_listed=True)
    if name in own.rates:
        return None
    if name not in own.unit_prices:
        return Gap(time_us, price)
    source = next(source for source in own.priced_as[name] if source in own.rates)
    is_same = listed is not None and listed.unit_prices.get(source) == price
    return None if is_same else Gap(time_us, price, own.unit_prices[name], source)


def list_moments(validities: Sequence[Validity]) -> set[int]:
    """List moments, in microseconds, of which every combination of these validities has one: at both sides of each
    beginning and end, and where some depend on the hour or the weekday, at the hours that do on each day of a week."""
    ends = [compile_terms(validity) for validity in validities]
    bounds_us = {bound for terms in ends for bound in (terms.since_us, terms.until_us) if bound is not None}
    moments_us = {moment for bound in bounds_us for moment in (bound - 1, bound)} | {0}
    hours_us = {hour for terms in ends for hour in terms.daily_us or ()}
    if hours_us or any(terms.weekdays is not None for terms in ends):
        days_us = {moment - moment % DAY_US + day * DAY_US for moment in moments_us for day in range(-7, 8)}
        moments_us |= {day + hour + shift for day in days_us for hour in {0, *hours_us} for shift in (-1, 0)}
    return moments_us


def _describe_gaps(name: str, gaps: Mapping[str, Gap], conditions: Sequence[str]) -> Iterator[str]:
    guesses = [
        f"{class_name} costs {_format_rate(class_name, gap.own)}, the rate of {gap.source}; the catalogue has "
        f"{_format_rate(class_name, gap.listed)}"
        for class_name, gap in sorted(gaps.items())
        if gap.own is not None
    ]
    if guesses:
        yield f"model {name}: {'. '.join(guesses)}. Name a rate for each."
    absent = [class_name for class_name, gap in sorted(gaps.items()) if gap.own is None and not gap.is_listed]
    if absent or conditions:
        parts = ", ".join([*absent, *conditions])
        yield f"model {name}: {parts} will be unpriced; the catalogue prices them. Name rates, or `variants`."
    listed = {class_name: gap for class_name, gap in sorted(gaps.items()) if gap.is_listed}
    if listed:
        latest = EPOCH + timedelta(microseconds=max(gap.time_us for gap in listed.values()))
        yield (
            f"model {name}: {', '.join(listed)} cost what the catalogue says whenever no price of this book holds, "
            f"such as at {latest:%Y-%m-%d %H:%M} UTC. Name one for all times (`since`, `until`, `daily`)."
        )


def _list_absent_conditions(model: PricedModel, known: PricedModel) -> list[str]:
    """List the dimensions for which the list has a variant, and one's own has none."""
    conditions = {f"{key}={word}" for variant in known.variants for key, word in variant.when.stated.items()}
    conditions -= {f"{key}={word}" for variant in model.variants for key, word in variant.when.stated.items()}
    return sorted(conditions)


def _format_rate(name: str, price: UnitPrice) -> str:
    """Write a unit price as a book names it; of one with tiers, all of them."""
    if isinstance(price, HourlyPrice):
        return f"{Decimal(price.pico_per_hour) / PICO:f} an hour"
    if isinstance(price, int):
        return f"{(Decimal(price) * rate_unit(name) / PICO).normalize():f}"
    return ", ".join(_format_rate(name, pico) + (f" above {above:,}" if above >= 0 else "") for above, pico in price)


def _find_provider(catalogue: PriceBook, id: str) -> Provider | None:
    return next((provider for provider in catalogue.providers if provider.id.lower() == id.lower()), None)


def _find_model(provider: Provider | None, id: str) -> PricedModel | None:
    models = provider.models if provider else ()
    return next((model for model in models if is_match(model.match, id.lower())), None)
