"""Compare a book of one's own with the catalogue: what its names reach, and what it leaves to be guessed."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from ledger.errors import TallyError
from ledger.pricing.genai_prices import genai_prices
from ledger.pricing.price_book import PriceBook, PricedModel, Provider, Tiered
from ledger.pricing.price_book_file import read_book_file
from ledger.token_classes import PRICED_AS
from streams.folds.prices.clauses import is_match


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
        yield from _list_rate_warnings(f"{provider.id}/{model.id}", model, known)


def _list_rate_warnings(name: str, model: PricedModel, known: PricedModel) -> Iterator[str]:
    own, listed = _read_rates(model), _read_rates(known)
    guesses = []
    for cached, fallbacks in PRICED_AS.items():
        general = next((fallback for fallback in fallbacks if fallback in own), None)
        if not cached.startswith("cache_") or cached in own or cached not in listed or general is None:
            continue
        if listed[cached] != listed.get(general):
            guesses.append(
                f"{cached} costs {own[general].normalize():f}, the rate of {general}; the catalogue has "
                f"{listed[cached].normalize():f}"
            )
    if guesses:
        yield f"model {name}: {'. '.join(guesses)}. Name a rate for each."
    absent = [class_name for class_name in known.prices[-1].rates if not _has_rate(model, class_name)]
    conditions = {f"{key}={word}" for variant in known.variants for key, word in variant.when.stated.items()}
    conditions -= {f"{key}={word}" for variant in model.variants for key, word in variant.when.stated.items()}
    if absent or conditions:
        parts = ", ".join([*absent, *sorted(conditions)])
        yield f"model {name}: {parts} will be unpriced; the catalogue prices them. Name rates, or `variants`."


def _has_rate(model: PricedModel, class_name: str) -> bool:
    """Tell whether a class has a rate of its own in the model's last price, or takes that of another."""
    sources = (model.priced_as or {}).get(class_name, PRICED_AS.get(class_name, ()))
    return any(name in model.prices[-1].rates for name in (class_name, *sources))


def _read_rates(model: PricedModel) -> dict[str, Decimal]:
    """Return the base rate of each class in the model's last price."""
    rates = {name: rate.base if isinstance(rate, Tiered) else rate for name, rate in model.prices[-1].rates.items()}
    return {name: rate for name, rate in rates.items() if isinstance(rate, Decimal)}


def _find_provider(catalogue: PriceBook, id: str) -> Provider | None:
    return next((provider for provider in catalogue.providers if provider.id.lower() == id.lower()), None)


def _find_model(provider: Provider | None, id: str) -> PricedModel | None:
    models = provider.models if provider else ()
    return next((model for model in models if is_match(model.match, id.lower())), None)
