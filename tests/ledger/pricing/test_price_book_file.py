"""Price documents: what a person may write, and what is said of a mistake."""

import zlib

import pytest

from ledger.errors import LogDamaged, TallyError
from ledger.pricing.genai_prices import genai_prices
from ledger.pricing.price_book import pack_book, unpack_book
from ledger.pricing.price_book_file import parse_book
from ledger.token_classes import PRICED_AS
from tests.streams.build import BOOK


def test_a_document_is_what_its_hash_says() -> None:
    book = genai_prices()
    digest, packed = pack_book(book)
    assert unpack_book(digest, packed) == book and pack_book(unpack_book(digest, packed))[0] == digest


def test_of_alternatives_the_one_that_was_meant_is_told() -> None:
    tiers = "input: {base: 1, tiers: [{above: 9, rate: 2}, {above: 9, rate: 3}]},"
    with pytest.raises(TallyError, match=r"tiers: each tier must have a greater 'above'"):
        parse_book(BOOK.replace("input: 1,", tiers), "mine.yaml")
    deep = f"{{any_of: [{'{any_of: [' * 500}{{equals: a}}{']}' * 500}]}}"
    with pytest.raises(TallyError, match="has not the shape of a book"):
        parse_book(BOOK.replace("{starts_with: m}", deep), "mine.yaml")


def test_what_is_not_the_document_of_its_hash_is_damage() -> None:
    digest, _ = pack_book(parse_book(BOOK, "test"))
    for other in (b"", b"x", zlib.compress(b"{}"), pack_book(genai_prices())[1]):
        with pytest.raises(LogDamaged, match=digest):
            unpack_book(digest, other)


def test_classes_without_a_rate_take_the_one_they_fall_back_on() -> None:
    (price,) = parse_book(BOOK, "test").providers[0].models[0].prices
    rates = {name: str(rate) for name, rate in price.rates.items()}
    assert set(rates) == {*PRICED_AS, "input", "output"}
    assert (rates["cache_write_1h"], rates["cache_read_audio"], rates["reasoning"]) == ("1", "1", "10")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("input: 1,", "input: -1,"), ("input: 1,", "input: 0.0000001,"), ("input: 1,", "inputs: 1,"),
        ("currency: USD", "currency: dollars"), ("{starts_with: m}", "{starts: m}"),
        ("{starts_with: m}", "{regex: '('}"), ("name: test", "name: ''"), ("models:", "model:"), ("providers:", "x: ["),
        ("{starts_with: m}", "{starts_with: }"),
        ("input: 1,", "input: {base: 1, tiers: [{above: 9, rate: 2}, {above: 9, rate: 3}]},"),
        ("- rates:", "- daily: {start: 8:00, end: '20:00'}\n            rates:"),
        ("- rates:", "- daily: {start: '08:00+02:00', end: '20:00'}\n            rates:"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(wrong: str, said: str) -> None:
    with pytest.raises(TallyError, match=r"price book mine\.yaml") as found:
        parse_book(BOOK.replace(wrong, said), "mine.yaml")
    assert "\n" not in str(found.value)
