"""A book of one's own beside the catalogue: the names it takes, and what it is warned of."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import TallyError
from ledger.pricing.price_book import PriceBook
from ledger.pricing.price_book_file import parse_book
from ledger.token_classes import CLASSES, PRICED_AS
from streams.folds.prices.offer import DAY_US, Offer
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
        "model Maker/large: cache_read_audio, cache_read_image, input_audio, output, reasoning will be unpriced; the "
        "catalogue prices them. Name rates, or `variants`."
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
        "cache_write_1h costs 2, the rate of input; the catalogue has 8. "
        "cache_write_5m costs 2, the rate of input; the catalogue has 5. Name a rate for each.",
        "model Maker/large: web_searches, service_tier=batch will be unpriced; the catalogue prices them. "
        "Name rates, or `variants`.",
    ]


def test_a_book_of_the_catalogues_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "book.yaml"
    file.write_text("{name: genai-prices, currency: USD, providers: []}")
    with pytest.raises(TallyError, match="'genai-prices', and would replace the catalogue: give it another name"):
        load_book(file)


AS_INPUT = {"input_image": ["input"], "cache_read_image": ["cache_read", "input_image", "input"]}
"""A list in which an image costs what text costs, as the catalogue says of most models."""


def test_classes_that_the_list_prices_as_others_are_warned_of() -> None:
    listed = build_book("catalogue", [{"rates": {"input": 2, "cache_read": 1}}], AS_INPUT)
    own = build_book("own", [{"rates": {"input": 3}}])
    assert list_warnings(own, listed) == [
        "model maker/large: cache_read costs 3, the rate of input; the catalogue has 1. Name a rate for each.",
        "model maker/large: cache_read_audio, cache_read_image, input_image will be unpriced; the catalogue prices "
        "them. Name rates, or `variants`.",
    ]


def test_every_period_of_both_books_is_compared() -> None:
    former = {"until": "2026-03-01T00:00:00Z", "rates": {"input": 2, "web_searches": 5}}
    listed = build_book("catalogue", [former, {"since": "2026-03-01T00:00:00Z", "rates": {"input": 1}}])
    assert list_warnings(build_book("own", [{"rates": {"input": 3}}]), listed) == [
        "model maker/large: web_searches will be unpriced; the catalogue prices them. Name rates, or `variants`.",
    ]
    own = [{"since": "2026-02-01T00:00:00Z", "rates": {"input": 3, "web_searches": 4}}]
    (warning,) = list_warnings(build_book("own", own), listed)
    assert warning.startswith("model maker/large: cache_read, ") and "input, web_searches cost what" in warning
    assert "such as at 2026-01-31 23:59 UTC" in warning


FIRST_DAY = datetime(2026, 3, 2, tzinfo=UTC)
COMPARED = ["input", "output", "cache_read", "cache_write", "reasoning", "input_image", "cache_read_image", "pages"]
PRICES = st.fixed_dictionaries(
    {"rates": st.dictionaries(st.sampled_from(COMPARED), st.integers(1, 3), min_size=1)},
    optional={
        "since": st.integers(0, 20), "until": st.integers(21, 40), "weekdays": st.sets(st.integers(0, 6), min_size=1),
        "daily": st.tuples(st.integers(0, 11), st.integers(12, 23), st.booleans()),
    },
)  # fmt: skip
MODELS = st.tuples(st.lists(PRICES, min_size=1, max_size=3), st.sampled_from([None, AS_INPUT]))
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def build_book(name: str, prices: list[dict[str, Any]], priced_as: dict[str, list[str]] | None = None) -> PriceBook:
    model: dict[str, Any] = {"id": "large", "match": {"equals": "large"}, "prices": prices, "priced_as": priced_as}
    providers = [{"id": "maker", "models": [model]}]
    content = {"name": name, "currency": "USD", "origin": "test", "priced_as": PRICED_AS, "providers": providers}
    return PriceBook.model_validate(content, strict=False)


def build_price(drawn: dict[str, Any]) -> dict[str, Any]:
    price: dict[str, Any] = {"rates": drawn["rates"]}
    price |= {name: FIRST_DAY + timedelta(days=drawn[name]) for name in ("since", "until") if name in drawn}
    if "daily" in drawn:
        start, end, is_reversed = drawn["daily"]
        hours = [f"{hour:02}:00" for hour in ((end, start) if is_reversed else (start, end))]
        price["daily"] = dict(zip(("start", "end"), hours, strict=True))
    if "weekdays" in drawn:
        price["weekdays"] = [DAYS[day] for day in drawn["weekdays"]]
    return price


def find_expected(listed: PriceBook, own: PriceBook) -> set[str]:
    """Find by the pricing itself, hour by hour, the classes that the list prices and one's own book does not name."""
    lists, books = [Catalogue("list", listed)], [Catalogue("list", listed), Catalogue("own", own)]
    expected: set[str] = set()
    first_us = int(FIRST_DAY.timestamp()) * 1_000_000
    for time_us in range(first_us - 8 * DAY_US, first_us + 50 * DAY_US, DAY_US // 24):
        before, after = (find_offer(catalogues, "maker", ("large",), time_us) for catalogues in (lists, books))
        if not isinstance(before, Offer) or not isinstance(after, Offer):
            continue
        for name in CLASSES:
            price = before.unit_price(name, -1)
            source = next((source for source in after.priced_as.get(name, ()) if source in after.rates), None)
            is_guess = name not in after.rates and source is not None and before.unit_price(source, -1) != price
            if price is not None and (after.document == "list" or after.unit_price(name, -1) is None or is_guess):
                expected.add(name)
    return expected


@settings(max_examples=60, deadline=None)
@given(MODELS, MODELS)
def test_a_class_is_warned_of_exactly_where_the_book_does_not_price_it_itself(listed: Any, own: Any) -> None:
    """It would have no price, the list's, or that of a class from which the list tells it apart."""
    list_book, own_book = (
        build_book(name, [build_price(price) for price in prices], priced_as)
        for name, (prices, priced_as) in (("catalogue", listed), ("own", own))
    )
    warnings = [re.sub("the rate of [a-z_0-9]+", "", warning) for warning in list_warnings(own_book, list_book)]
    named = {word for warning in warnings for word in re.findall("[a-z_0-9]+", warning) if word in CLASSES}
    assert named == find_expected(list_book, own_book)
