"""Calls under contracts that were priced by hand from the forms of contracts that providers publish."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ledger.pricing.contract import pack_contract
from ledger.pricing.contract_file import parse_contract
from ledger.pricing.genai_prices import genai_prices
from ledger.pricing.price_book import pack_book
from tests.rules.test_priced_by_hand import LATER_S, NOON, Judge
from tests.rules.test_rules import by_audit, by_folds
from tests.streams.build import control, record

TABLE = yaml.load((Path(__file__).parent / "contracts_by_hand.yaml").read_text(), yaml.CSafeLoader)
BOOK = pack_book(genai_prices())


@pytest.mark.parametrize("judge", [by_folds, by_audit])
@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_a_contract_gives_the_costs_that_were_worked_out_by_hand(case: dict[str, Any], judge: Judge) -> None:
    assert case["source"] in TABLE["sources"]
    digest, packed = pack_contract(parse_contract(json.dumps(case["contract"]), case["name"]))
    decisions = [
        control("adopt", "price_book.adopted", name="genai-prices", document=BOOK[0]),
        control("sign", "contract.signed", name=case["contract"]["name"], document=digest),
    ]
    events = [_build_event(str(place), call["call"]) for place, call in enumerate(case["calls"])]
    records = [record(0, *decisions), record(1, *events, at_s=LATER_S)]
    answers = judge(records, dict([BOOK, (digest, packed)]))
    for call, (outcome, _, lines, _, _, billed, (pricing, *_), (_, contracted)) in zip(
        case["calls"], answers, strict=True
    ):
        list_costs = [cost for _, cost in lines.values()]
        sums = [None if None in list_costs else sum(list_costs, Decimal(0))]
        for place in range(3):
            sums.append(sum((costs[place] or Decimal(0) for costs in contracted.values()), Decimal(0)))
        assert (outcome, pricing) == ("counted", "priced")
        assert sums == [None if cost is None else Decimal(cost) for cost in call["costs"]], call["sum"]
        assert billed == sums[-1]


def _build_event(id: str, call: dict[str, Any]) -> bytes:
    data = {name: value for name, value in call.items() if name != "at"}
    time = call.get("at", NOON)
    return msgspec.json.encode(
        {"source": "hand", "id": id, "time": time, "type": "tallystick.inference.v1", "data": data}
    )
