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
    with pytest.raises(TallyError, match="has not the shape of a price book"):
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
        ("{when: {tier: batch}, multiplier: 2}", "variants[0].when.tier is 'batch': is no field that is known here"),
        ("{when: {speed: fast}}", "either 'rates' or a 'multiplier'"),
        ("{when: {speed: fast}, multiplier: 2, rates: {input: 1}}", "either 'rates' or a 'multiplier'"),
        ("{when: {speed: fast}, multiplier: 1.0000001}", "times 1.0000001 has over 6 decimals"),
        ("{when: {speed: fast}, rates: {input: {per_hour: 1}}}", "a rate per hour is one of 'seconds'"),
        ("{when: {speed: fast}, multiplier: 2, weekdays: [someday]}", "weekdays[0] is 'someday': must be 'monday'"),
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty: write the fields `name`, `currency` and `providers`"),
        ("text", "is a single value"),
        ("[1]", "is a list"),
        ("kind: contract\nname: c", "mine.yaml is a contract, not a price book: sign it with `tally contract sign"),
        (BOOK.replace("providers:", "terms: ["), "is not YAML"),
        ("name: b\ncurrency: USD\nproviders: {id: a}", "providers: must be a list"),
        ("name: b\ncurrency: USD\nproviders: [a]", "providers[0] is 'a': must be a mapping"),
        ("name: b\ncurrency: USD\nproviders: [{id: a, models: {id: 5}}]", "providers[0].models: must be a list"),
        (BOOK.replace("id: m1", "id: 5"), "models[0].id is 5: must be text: put it in quotes"),
        (BOOK.replace("- rates: {input: 1, output: 10}", "[]"), "models[0].prices: must have at least one entry"),
        (BOOK.replace("input: 1,", "input: -1,"), "prices[0].rates.input is -1: must be greater than or equal to 0"),
        (BOOK.replace("input: 1,", "input: {base: 1},"), "rates.input: must be a number, or have `base` and `tiers`"),
        (BOOK.replace("input: 1,", "input: {per_hour: -1},"), "rates.input.per_hour is -1: must be"),
        *(
            (BOOK.replace("- rates:", f"- since: {day}\n            rates:"), f"since is '{day}': write a time with a")
            for day in ("2026-13-01", "2026-02-30", "2026-12-01", "2026-12-01T00:00:00")
        ),
    ],
)  # fmt: skip
def test_a_message_has_the_path_the_value_and_the_way_out(text: str, words: str) -> None:
    with pytest.raises(TallyError) as refusal:
        parse_book(text, "mine.yaml", lambda content: None)
    assert words in str(refusal.value) and "function" not in str(refusal.value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            ("- rates:", "- since: 2026-12-01T00:00:00Z\n            until: 2026-11-01T00:00:00Z\n            rates:"),
            "prices[0].until: 2026-11-01T00:00:00+00:00 is not after `since`",
        ),
        (("- rates:", "- daily: {start: '08:00', end: '08:00'}\n            rates:"), "daily: begins and ends at"),
        (("{input: 1, output: 10}", "{}"), "prices[0].rates: names no class"),
        (("models:", "models_of: [nobody]\n    models:"), "models_of[0]: no provider of this book has the id"),
        (("input: 1,", "input: 1, input: 2,"), "line 11: the key 'input' stands twice"),
        (("  - id: acme", "  - {id: ACME, models: []}\n  - id: acme"), "providers[1].id: 'acme' is the id of entry 0"),
        (("- id: m1", "- {id: m1, prices: [{rates: {input: 1}}]}\n      - id: m1"), "models[1].id: 'm1' is the id"),
        (
            ("prices:", "variants: [{when: {speed: fast}, rates: {}}]\n        prices:"),
            "variants[0].rates: names no class",
        ),
    ],
)  # fmt: skip
def test_what_would_have_no_effect_is_refused(wrong: tuple[str, str], words: str) -> None:
    with pytest.raises(TallyError) as refusal:
        parse_book(BOOK.replace(*wrong), "mine.yaml")
    assert words in str(refusal.value)
