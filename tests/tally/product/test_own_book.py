"""A book of one's own beside the catalogue: the names it takes, and what it is warned of."""

from pathlib import Path
from typing import Any

import pytest

from ledger.errors import TallyError
from ledger.pricing.price_book import PriceBook
from ledger.pricing.price_book_file import parse_book
from streams.folds.prices.offer import Offer
from streams.folds.prices.price_lookup import Catalogue, find_offer
from tally.product.own_book import extend_matches, list_warnings, load_book

CATALOGUE = parse_book(
    """
name: catalogue
currency: USD
providers:
  - id: maker
    models:
      - id: large
        match: {any_of: [{equals: large}, {equals: large-2026-01-01}, {starts_with: large-eu}]}
        prices: [{rates: {input: 2, output: 8, cache_read: 0.2, input_audio: 4, cache_read_audio: 0.4}}]
      - {id: small, prices: [{rates: {input: 1}}]}
  - {id: host, models_of: [maker], models: []}
""",
    "the catalogue",
)


def read(models: str, providers: str = "") -> PriceBook:
    text = f"{{name: own, currency: USD, providers: [{{id: Maker, models: [{models}]}}{providers}]}}"
    return parse_book(text, "own", lambda content: extend_matches(content, CATALOGUE))


def price(book: PriceBook, model: str, provider: str = "maker") -> Any:
    offer = find_offer([Catalogue("c", CATALOGUE), Catalogue("o", book)], provider, (model,), 0)
    return offer.price_id if isinstance(offer, Offer) else offer


LARGE = "{id: large, prices: [{rates: {input: 1, cache_read: 0.1}}]}"


@pytest.mark.parametrize("model", ["large", "large-2026-01-01", "large-20260101", "large-eu-1"])
def test_a_model_takes_the_names_of_the_catalogue(model: str) -> None:
    assert price(read(LARGE), model) == "own/Maker/large#0"


def test_a_match_that_is_given_stays_and_is_warned_of() -> None:
    book = read("{id: large, match: {equals: large}, prices: [{rates: {input: 1, cache_read: 0.1}}]}")
    assert price(book, "large-2026-01-01") == "catalogue/maker/large#0"
    assert any("takes this name only" in warning for warning in list_warnings(book, CATALOGUE))


def test_a_name_that_the_book_lists_itself_is_not_taken_from_it() -> None:
    book = read(f"{LARGE}, {{id: large-2026-01-01, prices: [{{rates: {{input: 5}}}}]}}")
    assert price(book, "large-2026-01-01") == "own/Maker/large-2026-01-01#0"
    assert price(book, "large") == "own/Maker/large#0"


def test_hosts_and_cache_rates_that_are_not_named_are_warned_of() -> None:
    book = read("{id: large, prices: [{rates: {input: 1}}]}")
    (host, cache, absent) = list_warnings(book, CATALOGUE)
    assert host.startswith("provider Maker: host sells its models too") and "`models_of: [Maker]`" in host
    assert cache == (
        "model Maker/large: cache_read costs 1, the rate of input; the catalogue has 0.2. Name a rate for each."
    )
    assert absent == (
        "model Maker/large: cache_read_audio, input_audio, output will be unpriced; the catalogue prices them. "
        "Name rates, or `variants`."
    )
    rates = "{input: 1, output: 4, cache_read: 0.1, input_audio: 2, cache_read_audio: 0.3}"
    silent = read(f"{{id: large, prices: [{{rates: {rates}}}]}}", ", {id: host, models_of: [Maker], models: []}")
    assert list_warnings(silent, CATALOGUE) == []
    assert price(silent, "large", "host") == "own/Maker/large#0"


def test_cache_writes_and_tiers_that_are_not_named_are_warned_of_in_a_line_each() -> None:
    catalogue = parse_book(
        """
name: catalogue
currency: USD
providers:
  - id: maker
    models:
      - id: large
        prices: [{rates: {input: 4, output: 8, cache_write: 5, cache_write_1h: 8, web_searches: 10}}]
        variants:
          - {when: {service_tier: batch}, rates: {input: 2}}
          - {when: {speed: fast}, rates: {input: 8}}
""",
        "the catalogue",
    )
    own = "{id: large, prices: [{rates: {input: 2, output: 4}}], variants: [{when: {speed: fast}, rates: {input: 3}}]}"
    assert list_warnings(read(own), catalogue) == [
        "model Maker/large: cache_write costs 2, the rate of input; the catalogue has 5. "
        "cache_write_1h costs 2, the rate of input; the catalogue has 8. Name a rate for each.",
        "model Maker/large: web_searches, service_tier=batch will be unpriced; the catalogue prices them. "
        "Name rates, or `variants`.",
    ]


def test_a_book_of_the_catalogues_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "book.yaml"
    file.write_text("{name: genai-prices, currency: USD, providers: []}")
    with pytest.raises(TallyError, match="'genai-prices', and would replace the catalogue: give it another name"):
        load_book(file)
