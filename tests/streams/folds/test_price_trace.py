"""The way to a price that is explained is the one that the rating takes."""

from hypothesis import given
from hypothesis import strategies as some

from ledger.pricing.price_book import unpack_book
from streams.folds.prices.offer import Offer
from streams.folds.prices.price_lookup import Catalogue, find_offer, trace_offer
from tests.rules.test_agree import MODELS, PROVIDERS
from tests.rules.test_rules import BOOKS
from tests.streams.build import START_MS

CATALOGUES = {name: Catalogue(digest, unpack_book(digest, packed)) for name, (digest, packed) in BOOKS.items()}


@given(
    some.lists(some.sampled_from(sorted(BOOKS)), max_size=3, unique=True), some.sampled_from((None, *PROVIDERS)),
    some.lists(some.sampled_from(MODELS).map(str.lower), max_size=2), some.integers(-2, 2),
)  # fmt: skip
def test_a_trace_leads_to_the_price_that_is_found(
    names: list[str], provider: str | None, models: list[str], days: int
) -> None:
    books = [CATALOGUES[name] for name in names]
    time_us = (START_MS + days * 86_400_000) * 1000
    offer = find_offer(books, provider, models, time_us)
    trace = trace_offer(books, provider, models, time_us)
    assert (trace.offer if trace else None) == (offer if isinstance(offer, Offer) else None)
    if trace:
        assert f"/{trace.match.owner.id}/{trace.match.model.id}#" in trace.offer.price_id and trace.name in models
