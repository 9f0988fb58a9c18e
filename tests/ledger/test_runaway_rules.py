"""Rules of runaways as people write them, and as they stand on the log."""

from decimal import Decimal

import pytest

from ledger.errors import LogDamaged, TallyError
from ledger.pricing.contract import pack_contract
from ledger.pricing.contract_file import parse_contract
from ledger.runaway_rules import RunawayRules, Thresholds, pack_rules, parse_rules, unpack_rules, write_rules
from streams.folds.runaways.registry import DETECTORS

SIGNED = "{name: a, currency: USD, terms: [{discount: 1}]}"


def test_every_detector_has_a_threshold() -> None:
    assert set(Thresholds.model_fields) == set(DETECTORS)


def test_what_is_left_out_is_the_default() -> None:
    rules = parse_rules("{page_above: 5, detectors: {repeated_tool: 3, agents_alike: off}}", "the test")
    assert (rules.page_above, rules.detectors.repeated_tool, rules.detectors.agents_alike) == (Decimal(5), 3, 0)
    assert rules.detectors.repeated_result == Thresholds().repeated_result


def test_written_rules_are_read_as_they_were() -> None:
    for text in ("{page_above: 0.5, detectors: {repeated_tool: 10000, repeated_error: off}}", "{page_above: 50}"):
        rules = parse_rules(text, "the test")
        assert parse_rules(write_rules(rules), "the test") == rules
        digest, packed = pack_rules(rules)
        assert unpack_rules(digest, packed) == rules
        assert pack_rules(parse_rules(write_rules(rules), "the test"))[0] == digest


def test_a_document_of_another_kind_has_no_rules() -> None:
    digest, packed = pack_contract(parse_contract(SIGNED, "the test"))
    assert unpack_rules(digest, packed) is None
    with pytest.raises(LogDamaged, match=digest):
        unpack_rules(digest, pack_rules(RunawayRules())[1])


@pytest.mark.parametrize(
    "text, problem",
    [
        ("{page_above: 0}", "page_above"),
        ("{detectors: {repeated_tool: true}}", r"detectors\.repeated_tool.*from 2 to 10,000, or off"),
        ("{detectors: {repeated_tool: 2.5}}", r"detectors\.repeated_tool.*from 2 to 10,000, or off"),
        ("{detectors: {repeated_tol: 4}}", r"detectors\.repeated_tol.*no field that is known"),
        ("{detectors: 4}", "detectors.*must be a mapping"),
        ("{name: a, currency: USD, providers: []}", "is a price book.*tally price adopt"),
        ("", "is empty.*`page_above` and `detectors`"),
    ],
)
def test_errors_name_the_field_and_what_it_must_be(text: str, problem: str) -> None:
    with pytest.raises(TallyError, match=problem):
        parse_rules(text, "rules.yaml")
