"""Contracts as people write them, and the share of a cost that they divide by."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ledger.errors import LogDamaged, TallyError
from ledger.money import share
from ledger.pricing.contract import pack_contract, unpack_document
from ledger.pricing.contract_file import parse_contract
from ledger.pricing.price_book import PriceBook, pack_book
from ledger.pricing.price_book_file import parse_book

CONTRACT = """
name: acme-2026
currency: USD
provider: [anthropic, {starts_with: aws}]
terms: [{discount: 12.5, model: lion}]
commitments: [{name: units, period: month, units: 10, rates: {output: 2, input: 1}}]
"""


def test_a_contract_has_one_form_and_one_hash() -> None:
    contract = parse_contract(CONTRACT, "the test")
    digest, packed = pack_contract(contract)
    assert unpack_document(digest, packed) == contract
    spelled = CONTRACT.replace("model: lion", "model: {equals: lion}").replace("12.5", "'12.50'")
    assert pack_contract(parse_contract(spelled, "the test"))[0] == digest


def test_a_document_is_read_as_the_kind_that_it_is() -> None:
    digest, packed = pack_book(parse_book("{name: b, currency: USD, providers: []}", "the test"))
    assert isinstance(unpack_document(digest, packed), PriceBook)
    with pytest.raises(LogDamaged, match=digest):
        unpack_document(digest, pack_contract(parse_contract(CONTRACT, "the test"))[1])


def test_modes_have_the_spelling_of_price_books() -> None:
    part = "{discount: 1, service_tier: [batches, Default, {regex: '-'}], speed: {starts_with: Fast}, geography: USA}"
    (term,) = parse_contract(f"{{name: a, currency: USD, terms: [{part}]}}", "the test").terms
    assert term.model_dump(exclude_none=True, include={"service_tier", "speed", "geography"}) == {
        "service_tier": {"any_of": ({"equals": "batch"}, {"equals": "standard"}, {"regex": "-"})},
        "speed": {"starts_with": "fast"},
        "geography": {"equals": "us"},
    }


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("terms: []", "at least one of 'terms' and 'commitments'"),
        ("terms: [{}]", "either a discount or rates"),
        ("terms: [{discount: 1, model: []}]", "at least one part"),
        ("terms: [{discount: 1, provider: {all_of: [{any_of: []}]}}]", "at least one part"),
        ("terms: [{discount: 1, service_tier: ' '}]", "has a text"),
        ("terms: [{rates: {}}]", "at least one class"),
        ("terms: [{rates: {input: 1}, classes: [input]}]", "leave out 'classes'"),
        ("terms: [{discount: 1, classes: [x]}]", "'x' is not one of the classes"),
        ("terms: [{discount: 0.0000001}]", "decimal places"),
        (
            "terms: [{discount: 1}]\nsince: 2026-01-02T00:00:00Z\nuntil: 2026-01-01T00:00:00Z",
            "'until' is after 'since'",
        ),
        ("commitments: [{name: a, period: month}]", "either units or an amount"),
        ("commitments: [{name: a, period: month, units: 1}]", "effective rates"),
        ("commitments: [{name: a, period: month, amount: 1, discount: 1, rates: {input: 1}}]", "rates or a discount"),
        ("commitments: [{name: a, period: week, amount: 1}]", "hour"),
        ("commitments: [{name: a, period: day, amount: 1}, {name: a, period: day, amount: 2}]", "name of its own"),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_place(part: str, words: str) -> None:
    with pytest.raises(TallyError, match=r"contract c\.yaml, ") as refused:
        parse_contract(f"name: c\ncurrency: USD\n{part}", "c.yaml")
    assert words in str(refused.value) and "docs/prices.md" in str(refused.value)


@given(some.integers(0, 10**25), some.integers(0, 10**20), some.integers(1, 10**20))
def test_a_share_is_the_nearest_whole_number_and_half_goes_to_the_even_one(amount: int, part: int, whole: int) -> None:
    assert share(amount, part, whole) == round(Fraction(amount * part, whole))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "contract c.yaml is empty: write the fields `name`"),
        ("[1]", "contract c.yaml is a list"),
        ("name: c\ncurrency: USD\nproviders: []", "c.yaml is a price book, not a contract: adopt it with `"),
        (
            "name: c\ncurrency: USD\nterms: [{discount: 1}]\nsince: 2026-12-01",
            "since is '2026-12-01': write a time",
        ),
        (
            "name: c\ncurrency: USD\nterms: [{discount: 1}]\nsince: 2026-02-30",
            "since is '2026-02-30': write a time",
        ),
        ("name: c\ncurrency: USD\nterms: [{model: {id: 5}, discount: 1}]", "terms[0].model.id is 5: is no field"),
        ("name: c\ncurrency: USD\nterms: [{model: [a, 5], discount: 1}]", "terms[0].model[1] is 5: must be a"),
        (
            "name: c\ncurrency: USD\nterms: [{rates: {seconds: {per_hour: 4}}}]",
            "rates.seconds: a contract has",
        ),
        ("name: c\nterms: [{discount: 1}]", "currency: is missing"),
        ("name: c\nname: d\nterms: []", "contract c.yaml, line 2: the key 'name' stands twice"),
    ],
)
def test_a_message_has_the_path_the_value_and_the_way_out(text: str, words: str) -> None:
    with pytest.raises(TallyError) as refused:
        parse_contract(text, "c.yaml")
    assert words in str(refused.value)
