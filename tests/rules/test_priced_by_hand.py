"""Calls that were priced by hand from what providers publish, by the folds and by the audit."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ledger.log import Record
from ledger.pricing.genai_prices import genai_prices
from ledger.pricing.price_book import pack_book
from tests.rules.test_rules import Answer, by_audit, by_folds
from tests.streams.build import control, record

TABLE = yaml.load((Path(__file__).parent / "priced_by_hand.yaml").read_text(), yaml.CSafeLoader)
NOON = "2026-11-10T12:00:00Z"
LATER_S = 400 * 86400

Judge = Callable[[Iterable[Record], Mapping[str, bytes]], list[Answer]]


@pytest.fixture(scope="module", params=[by_folds, by_audit])
def answers(request: pytest.FixtureRequest) -> dict[str, Answer]:
    """Price all cases on one log."""
    digest, packed = pack_book(genai_prices())
    adoption = control("adopt", "price_book.adopted", name="genai-prices", document=digest)
    events = [
        msgspec.json.encode(
            {
                "source": "hand", "id": str(place), "time": case.get("at", NOON), "type": "tallystick.inference.v1",
                "data": case["call"],
            }
        )
        for place, case in enumerate(TABLE["cases"])
    ]  # fmt: skip
    records = [record(0, adoption), record(1, *events, at_s=LATER_S)]
    judge: Judge = request.param
    names = [case["name"] for case in TABLE["cases"]]
    return dict(zip(names, judge(records, {digest: packed}), strict=True))


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_a_call_costs_what_was_worked_out_by_hand(case: dict[str, Any], answers: dict[str, Answer]) -> None:
    assert case["source"] in TABLE["sources"]
    outcome, _, lines, _, currency, _, (pricing, reason, bound, *_), _ = answers[case["name"]]
    assert (outcome, currency) == ("counted", "USD")
    costs = [cost for _, cost in lines.values() if cost is not None]
    assert sum(costs, Decimal(0)) == Decimal(case.get("cost", 0))
    assert reason == case.get("why")
    if "why" in case:
        assert bound == (None if case["most"] is None else Decimal(case["most"])) and pricing in (
            "unpriced",
            "partially_priced",
        )
    else:
        assert pricing == "priced"
