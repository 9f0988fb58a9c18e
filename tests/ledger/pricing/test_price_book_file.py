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


def test_a_document_carries_what_a_class_without_a_rate_is_priced_as() -> None:
    assert parse_book(BOOK, "test").priced_as == {name: PRICED_AS[name] for name in sorted(PRICED_AS)}
    own = parse_book("priced_as: {input_image: [input], cache_read: []}" + BOOK, "test").priced_as
    assert own == PRICED_AS | {"input_image": ("input",), "cache_read": ()}


def test_a_value_of_a_variant_is_kept_in_one_spelling() -> None:
    variants = "variants: [{when: {service_tier: Batches, geography: USA}, multiplier: 0.5}]\n        prices:"
    (variant,) = parse_book(BOOK.replace("prices:", variants), "test").providers[0].models[0].variants
    assert variant.when.stated == {"service_tier": "batch", "geography": "us"}


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("{when: {service_tier: standard}, multiplier: 2}", "'standard' is the base price"),
        ("{when: {}, multiplier: 2}", "names at least one of service_tier, speed, geography"),
        ("{when: {tier: batch}, multiplier: 2}", "Extra inputs are not permitted"),
        ("{when: {speed: fast}}", "either 'rates' or a 'multiplier'"),
        ("{when: {speed: fast}, multiplier: 2, rates: {input: 1}}", "either 'rates' or a 'multiplier'"),
        ("{when: {speed: fast}, multiplier: 1.0000001}", "times 1.0000001 has over 6 decimals"),
        ("{when: {speed: fast}, rates: {input: {per_hour: 1}}}", "a rate per hour is one of 'seconds'"),
        ("{when: {speed: fast}, multiplier: 2, weekdays: [someday]}", "Input should be 'monday'"),
    ],
)
def test_a_mistake_in_a_variant_is_named(variant: str, message: str) -> None:
    with pytest.raises(TallyError, match=r"price book mine\.yaml") as refusal:
        parse_book(BOOK.replace("prices:", f"variants: [{variant}]\n        prices:"), "mine.yaml")
    assert message in str(refusal.value)


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
