"""Usage as people reported it, read and rated: the list cost is the one that was worked out by hand."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger.money import PICO
from ledger.pricing.genai_prices import genai_prices
from streams.folds.call import convert_call
from streams.folds.event import Event
from streams.folds.prices.price_lookup import Catalogue
from streams.folds.rating import BOOKS, rate_call
from streams.folds.state import State
from tallystick import Inference
from tallystick.usage.reader import read_fields

TIME = datetime(2026, 11, 10, 12, tzinfo=UTC)


def list_cases() -> Iterator[Any]:
    path = Path(os.environ.get("TALLY_TEST_DATA", "")) / "reports" / "usage_blocks.jsonl"
    if "TALLY_TEST_DATA" not in os.environ or not path.is_file():
        reason = "NOT TESTED: TALLY_TEST_DATA names no folder that holds reports/usage_blocks.jsonl"
        yield pytest.param(None, marks=[pytest.mark.skip(reason=reason), pytest.mark.traces], id="reports")
        return
    for line in path.read_text().splitlines():
        case = json.loads(line)
        yield pytest.param(case, id=case["case"], marks=pytest.mark.traces)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue("d", genai_prices())


@pytest.mark.parametrize("case", list(list_cases()))
def test_a_reported_block_costs_what_it_cost(case: dict[str, Any], catalogue: Catalogue) -> None:
    fields = read_fields(case["response"], model=case["model"])
    assert fields is not None and fields["usage_source"] == "reported"
    fields |= {"provider": case["provider"], "model": case["model"]}
    inference = json.loads(Inference.model_validate(fields).canonical())
    books = State()
    books.put(BOOKS, (("genai-prices", "d"),))
    call = convert_call(inference)
    assert call is not None
    event = Event(0, "o", "inference", time_us=int(TIME.timestamp()) * 10**6)
    entry = rate_call(event, call, books, lambda _: catalogue)
    assert Decimal(entry.list_cost) / PICO == Decimal(case["list_cost_usd"])
    assert entry.unpriced is None
