"""Find the price of a call in the price books in force (docs/rules.md, R5 to R8)."""

import re
from collections.abc import Callable, Sequence
from datetime import date
from functools import cache, lru_cache

from ledger.pricing.price_book import Clause, PriceBook, Provider
from streams.folds.offer import Offer, compile_offers

_COMPACT_DATE = re.compile(r"-(\d{4})(\d{2})(\d{2})$", re.ASCII)


class Catalogue:
    """One price book, compiled as its models are looked up."""

    def __init__(self, document: str, book: PriceBook) -> None:
        self._document = document
        self._book = book
        self.offers = lru_cache(maxsize=10_000)(self._find_offers)

    def _find_offers(self, provider: str | None, model: str) -> tuple[Offer, ...]:
        """Return the model's prices, the strongest first; none where the book does not know it."""
        seller = self._find_provider(provider, model)
        if seller is None:
            return ()
        original_providers = (
            original_provider
            for name in seller.models_of
            for original_provider in self._book.providers
            if original_provider.id == name
        )
        owners = [seller, *original_providers]
        for spelling in dict.fromkeys((model, _spell_date_with_dashes(model))):
            for owner in owners:
                for candidate in owner.models:
                    if is_match(candidate.match, spelling):
                        return compile_offers(
                            self._document, self._book, owner.id, candidate, with_variants=owner is seller
                        )
        return ()

    def _find_provider(self, name: str | None, model: str) -> Provider | None:
        """Return the provider of that name; without a name, the one whose models these are."""
        providers = self._book.providers
        if name is None:
            return next(
                (provider for provider in providers if provider.model_match and is_match(provider.model_match, model)),
                None,
            )
        exact = next((provider for provider in providers if provider.id.lower() == name), None)
        return exact or next(
            (provider for provider in providers if provider.match and is_match(provider.match, name)), None
        )


def find_offer(books: Sequence[Catalogue], provider: str | None, model: str, time_us: int) -> Offer | None:
    """Find the price of a call at its own time. The youngest book name that has one decides."""
    provider = provider.lower() if provider is not None else None
    for book in reversed(books):
        for offer in book.offers(provider, model.lower()):
            if offer.holds(time_us):
                return offer
    return None


def is_match(clause: Clause, name: str) -> bool:
    """Tell whether a clause matches a lower-case name."""
    return _compile_clause(clause)(name)


@cache
def _compile_clause(clause: Clause) -> Callable[[str], bool]:
    if clause.any_of is not None:
        tests = [_compile_clause(part) for part in clause.any_of]
        return lambda name: any(test(name) for test in tests)
    if clause.all_of is not None:
        tests = [_compile_clause(part) for part in clause.all_of]
        return lambda name: all(test(name) for test in tests)
    if clause.regex is not None:
        pattern = re.compile(clause.regex)
        return lambda name: pattern.search(name) is not None
    if clause.starts_with is not None:
        start = clause.starts_with.lower()
        return lambda name: name.startswith(start)
    if clause.ends_with is not None:
        end = clause.ends_with.lower()
        return lambda name: name.endswith(end)
    if clause.contains is not None:
        part = clause.contains.lower()
        return lambda name: part in name
    equal = (clause.equals or "").lower()
    return lambda name: name == equal


def _spell_date_with_dashes(model: str) -> str:
    match = _COMPACT_DATE.search(model)
    if match is None:
        return model
    try:
        day = date(*map(int, match.groups()))
    except ValueError:
        return model
    return f"{model[: match.start()]}-{day.isoformat()}"
