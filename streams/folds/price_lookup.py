"""Find the price of a call in the price books in force (docs/rules.md, R5 to R8)."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache

import msgspec

from ledger.money import PICO
from ledger.pricing.price_book import Clause, Price, PriceBook, PricedModel, Provider, Tiered
from ledger.token_classes import rate_unit

DAY_US = 86400 * 1_000_000
_COMPACT_DATE = re.compile(r"-(\d{4})(\d{2})(\d{2})$", re.ASCII)

UnitPrice = int | tuple[tuple[int, int], ...]
"""Pico a unit; or (above, pico) by rising threshold of the event's input tokens, the base with -1."""


class Offer(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One price of a model: when it holds, and the cost of a unit of each class.

    ``tiers`` are the amounts of input tokens above which some class costs otherwise, rising. ``context_window`` is the
    number of tokens that one call may have, where the book names it. ``seller`` and ``model`` are the ids, in lower
    case, of the provider that sells the model, and of the model.
    """

    price_id: str
    document: str
    currency: str
    since_us: int
    daily_us: tuple[int, int] | None
    unit_prices: dict[str, UnitPrice]
    tiers: tuple[int, ...]
    context_window: int | None
    seller: str = ""
    model: str = ""

    def holds(self, time_us: int) -> bool:
        """Tell whether the price is in force at a moment."""
        if time_us < self.since_us:
            return False
        if self.daily_us is None:
            return True
        start, end = self.daily_us
        moment = time_us % DAY_US
        return start <= moment < end if start <= end else moment >= start or moment < end

    def tier(self, input_tokens: int) -> int:
        """Return the greatest tier that so many input tokens are above; -1 where there is none."""
        return max((above for above in self.tiers if input_tokens > above), default=-1)

    def stated_tier(self, above: int) -> int:
        """Return the tier that a source states by where it begins: the greatest that begins there or below."""
        return max((tier for tier in self.tiers if tier <= above), default=-1) if above else -1

    def greatest_unit_price(self, names: Sequence[str], tier: int) -> int | None:
        """Return the greatest unit price of any of the classes in the tier and those below; None where none has one."""
        prices: list[int] = []
        for name in names:
            price = self.unit_prices.get(name)
            if isinstance(price, tuple):
                prices += (pico for above, pico in price if above <= tier)
            elif price is not None:
                prices.append(price)
        return max(prices, default=None)

    def unit_price(self, name: str, tier: int) -> int | None:
        """Return the unit price of a class in a tier, in pico; None where the class has none."""
        price = self.unit_prices.get(name)
        if isinstance(price, tuple):
            return next(pico for above, pico in reversed(price) if above <= tier)
        return price


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
                        return self._compile_offers(owner, candidate, seller)
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

    def _compile_offers(self, provider: Provider, model: PricedModel, seller: Provider) -> tuple[Offer, ...]:
        name = f"{self._book.name}/{provider.id}/{model.id}"
        offers: list[Offer] = []
        for index, price in enumerate(model.prices):
            costs = _compile_unit_prices(price)
            above = {above for cost in costs.values() if isinstance(cost, tuple) for above, _ in cost if above >= 0}
            identity = f"{name}#{index}", self._document, self._book.currency
            names = seller.id.lower(), model.id.lower()
            offers.append(
                Offer(*identity, *_validity(price), costs, tuple(sorted(above)), model.context_window, *names)
            )
        return tuple(offers)[::-1]


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


def _validity(price: Price) -> tuple[int, tuple[int, int] | None]:
    since = int(price.since.timestamp()) * 1_000_000 + price.since.microsecond if price.since else -(10**18)
    if price.daily is None:
        return since, None
    start, end = (
        (datetime.combine(date.min, time, UTC) - datetime.combine(date.min, datetime.min.time(), UTC))
        // timedelta(microseconds=1)
        for time in (price.daily.start, price.daily.end)
    )
    return since, (start, end)


def _compile_unit_prices(price: Price) -> dict[str, UnitPrice]:
    unit_prices: dict[str, UnitPrice] = {}
    for name, rate in price.rates.items():
        scale = PICO // rate_unit(name)
        if isinstance(rate, Tiered):
            tiers = ((tier.above, int(tier.rate * scale)) for tier in rate.tiers)
            unit_prices[name] = ((-1, int(rate.base * scale)), *tiers)
        else:
            unit_prices[name] = int(rate * scale)
    return unit_prices
