"""Find the price of a call in the price books in force (docs/rules.md, R5 to R8)."""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import msgspec

from ledger.pricing.name_parts import CLIENT_PROTOCOL, TUNED_MARKS
from ledger.pricing.price_book import PriceBook, PricedModel, Provider
from streams.folds.prices.clauses import is_marked, is_match, is_whole
from streams.folds.prices.model_names import (
    find_mark,
    is_gateway,
    is_local_host,
    list_sellers,
    spell_model,
    spell_provider,
)
from streams.folds.prices.offer import Offer, compile_offers


class Step(IntEnum):
    """One way to find a model in a book: of the provider that the event or the model's path names, of the one whose
    models these are by their name, or of any. A step is taken through all books before the next."""

    PROVIDER = 1
    PROVIDER_UNDATED = 2
    MAKER = 3
    MAKER_UNDATED = 4
    ANY = 5


BY_PROVIDER = (Step.PROVIDER, Step.PROVIDER_UNDATED)
BY_MAKER = (*BY_PROVIDER, Step.MAKER, Step.MAKER_UNDATED)
ALL_STEPS = tuple(Step)
FIRST_STEP = Step.PROVIDER


class ModelMatch(NamedTuple):
    """A model of a book: the spelling that it has, the provider that sells it, and the one that lists it."""

    spelling: str
    seller: Provider
    owner: Provider
    model: PricedModel


class OfferTrace(NamedTuple):
    """The way to a price: the name that was tried, the step that found it, and the model that has the price."""

    name: str
    step: Step
    match: ModelMatch
    offer: Offer


class Catalogue:
    """One price book, compiled as its models are looked up."""

    def __init__(self, document: str, book: PriceBook) -> None:
        self._document = document
        self._book = book
        self.offers = lru_cache(maxsize=10_000)(self._find_offers)
        self.find_provider = lru_cache(maxsize=10_000)(self._find_provider)

    @property
    def currency(self) -> str:
        """Return the currency of the book's prices."""
        return self._book.currency

    def has_model(self, model: str) -> bool:
        """Tell whether any provider sells a model. Its name is in lower case."""
        sellers = [provider.id.lower() for provider in self._book.providers]
        return any(self.find_model(None, model, step) for step in BY_MAKER) or any(
            self.find_model(seller, model, step) for seller in sellers for step in BY_PROVIDER
        )

    def list_models(self) -> set[str]:
        """List the ids of all models, in lower case."""
        return {model.id.lower() for provider in self._book.providers for model in provider.models}

    def _find_offers(self, provider: str | None, model: str, step: Step) -> tuple[Offer, ...]:
        """Return the model's prices, the strongest first; none where this step finds none. Names are in lower case."""
        match = self.find_model(provider, model, step)
        if match is None:
            return ()
        return self._compile_offers(match.owner, match.model, None if step is Step.ANY else match.seller)

    def find_model(self, provider: str | None, model: str, step: Step) -> ModelMatch | None:
        """Return the model that a step finds; None where it finds none. Names are in lower case."""
        spellings = spell_model(model)
        mark = find_mark(model)
        if step is Step.ANY:
            return self._find_anywhere(spellings.exact, mark, has_provider=not is_gateway(provider))
        names = spellings.undated if step in (Step.PROVIDER_UNDATED, Step.MAKER_UNDATED) else spellings.exact
        if step in BY_PROVIDER:
            pairs = ((seller, names, is_maker) for seller, is_maker in self._list_sellers(provider, model))
        else:
            pairs = (
                (seller, (name,), True)
                for name in names
                for seller in self._book.providers
                if seller.model_match and is_match(seller.model_match, name)
            )
        for seller, seller_names, is_maker in pairs:
            for match in self._list_models(seller, seller_names, mark):
                if not is_maker or is_whole(match.model, match.spelling, mark):
                    return match
        return None

    def _list_sellers(self, provider: str | None, model: str) -> Iterator[tuple[Provider, bool]]:
        """Yield the provider that an event names; where that is a gateway, or the provider of a protocol that gateways
        speak too, the one that the model's path names, and whether that may only be the maker of what another sells."""
        if provider is not None and not is_gateway(provider):
            seller = self.find_provider(provider)
            if seller is not None:
                yield seller, False
            if is_local_host(provider) or (seller is not None and seller.id.lower() != CLIENT_PROTOCOL):
                return
        names = spell_model(model).exact
        for part in list_sellers(model):
            seller = self.find_provider(part)
            # A provider with models of its own may stand in a path as their maker, and another sells them.
            if seller is not None and (
                seller.model_match is None or any(is_match(seller.model_match, name) for name in names)
            ):
                yield seller, seller.model_match is not None

    def _list_models(self, seller: Provider, names: Sequence[str], mark: str | None) -> Iterator[ModelMatch]:
        """Yield the models that a provider sells by one of the names."""
        originals = (provider for name in seller.models_of for provider in self._book.providers if provider.id == name)
        owners = (seller, *originals)
        for name in names:
            for owner in owners:
                for candidate in owner.models:
                    if is_match(candidate.match, name) and is_marked(candidate.match, name, mark):
                        yield ModelMatch(name, seller, owner, candidate)
        for name in names:
            for owner in owners:
                for candidate in owner.models:
                    if candidate.id.lower() == name:
                        yield ModelMatch(name, seller, owner, candidate)

    def _find_anywhere(self, names: Sequence[str], mark: str | None, *, has_provider: bool) -> ModelMatch | None:
        """Return the model whose price all providers have which list it; None where they differ, and where the event
        names another provider and none of them is a maker."""
        for name in names:
            models = [
                ModelMatch(name, owner, owner, candidate)
                for owner in self._book.providers
                for candidate in owner.models
                if is_match(candidate.match, name)
                and is_marked(candidate.match, name, mark)
                and is_whole(candidate, name, mark)
            ]
            if models:
                is_one = all(match.model.prices == models[0].model.prices for match in models)
                is_made = any(match.owner.model_match is not None for match in models)
                return models[0] if is_one and (is_made or not has_provider) else None
        return None

    def _compile_offers(self, owner: Provider, model: PricedModel, seller: Provider | None) -> tuple[Offer, ...]:
        """Compile the prices of a model; its variants are those of its own provider alone."""
        offers = compile_offers(self._document, self._book, owner.id, model, sells_variants=owner is seller)
        names = {"seller": seller.id.lower() if seller is not None else "", "model": model.id.lower()}
        return tuple(msgspec.structs.replace(offer, **names) for offer in offers)

    def _find_provider(self, name: str) -> Provider | None:
        """Return the provider of a name in lower case."""
        for id in spell_provider(name):
            for provider in self._book.providers:
                if provider.id.lower() == id:
                    return provider
        return next(
            (provider for provider in self._book.providers if provider.match and is_match(provider.match, name)), None
        )


def find_offer(books: Sequence[Catalogue], provider: str | None, models: Sequence[str], time_us: int) -> Offer | str:
    """Find the price of a call at its own time, or the reason why it has none. The books are in the order of their
    names' first adoption, and the models, in lower case, in the order in which they are tried."""
    provider = provider.lower() if provider else None
    is_listed = False
    for model in models:
        host = _find_host(books, provider, model)
        for book in reversed(books):  # nearly all calls find their price here
            for offer in book.offers(host, model, FIRST_STEP):
                if offer.holds(time_us):
                    return offer
                is_listed = True
        for step in _list_steps(books, host)[1:]:
            for book in reversed(books):
                for offer in book.offers(host, model, step):
                    if offer.holds(time_us):
                        return offer
                    is_listed = True
    if not models:
        return "no model"
    if not books:
        return "no price book"
    if is_listed:
        return "no price at that time"
    if find_mark(models[0]) in TUNED_MARKS:
        return "no price of the fine-tuned model"
    is_sold = _is_sold(books, _find_host(books, provider, models[0]))
    return "no price of the model" if is_sold else "no price of the provider"


def trace_offer(
    books: Sequence[Catalogue], provider: str | None, models: Sequence[str], time_us: int
) -> OfferTrace | None:
    """Find the way to the price that :func:`find_offer` finds; None where it finds none."""
    provider = provider.lower() if provider else None
    for name in models:
        host = _find_host(books, provider, name)
        for step in _list_steps(books, host):
            for book in reversed(books):
                match = book.find_model(host, name, step)
                for offer in book.offers(host, name, step):
                    if match is not None and offer.holds(time_us):
                        return OfferTrace(name, step, match, offer)
    return None


def _find_host(books: Sequence[Catalogue], provider: str | None, model: str) -> str | None:
    """Return the provider of a call; the machine of one's own that the model's path names, where none else sells it."""
    if "/" not in model:
        return provider
    hosts = [part for part in list_sellers(model) if is_local_host(part)]
    return hosts[0] if hosts and _list_steps(books, provider) != BY_PROVIDER else provider


def _list_steps(books: Sequence[Catalogue], provider: str | None) -> Sequence[Step]:
    """Return the ways to look for a model: by its name alone where no book knows the provider."""
    if provider is None or is_gateway(provider):
        return ALL_STEPS
    if is_local_host(provider):
        return BY_PROVIDER
    sellers = [book.find_provider(provider) for book in books]
    if not any(sellers):
        return ALL_STEPS
    return BY_MAKER if any(seller and seller.id.lower() == CLIENT_PROTOCOL for seller in sellers) else BY_PROVIDER


def _is_sold(books: Sequence[Catalogue], provider: str | None) -> bool:
    return provider is None or is_gateway(provider) or any(book.find_provider(provider) for book in books)
