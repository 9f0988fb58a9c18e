"""Our prices against the catalogue's own calculation, over every model it knows."""

import random
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices import data
from genai_prices.types import TieredPrices

from ledger.money import PICO, round_rate
from ledger.pricing.genai_prices import genai_prices as compiled
from streams.folds.call import convert_call
from streams.folds.event import Event
from streams.folds.prices.price_lookup import Catalogue
from streams.folds.rating import BOOKS, rate_call
from streams.folds.state import State

PLAIN = {"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "requests_kcount"}


@pytest.fixture(scope="module")
def rows() -> State:
    rows = State()
    rows.put(BOOKS, (("genai-prices", "d"),))
    return rows


def exact(rate: Decimal | TieredPrices) -> bool:
    figures = [rate.base, *(tier.price for tier in rate.tiers)] if isinstance(rate, TieredPrices) else [rate]
    return all(round_rate(figure, 6) == figure for figure in figures)


def test_every_model_costs_what_the_catalogue_says(rows: State) -> None:
    """Except where its rate is not exact: 0.18000000000000002 is taken as 0.18 (ledger.money.round_rate)."""
    chance = random.Random(20261124)
    catalogue = Catalogue("d", compiled())
    compared = 0
    for provider in data.providers:
        for model in chance.sample(provider.models, min(25, len(provider.models))):
            time = datetime(2026, 1 + chance.randrange(11), 10, chance.randrange(24), 15, tzinfo=UTC)
            used = {"input": chance.randrange(300_000), "cache_read": chance.randrange(9_000), "output": 700}
            try:
                theirs = genai_prices.calc_price(
                    genai_prices.Usage(
                        input_tokens=used["input"] + used["cache_read"],
                        cache_read_tokens=used["cache_read"],
                        output_tokens=used["output"],
                    ),
                    model.id, provider_id=provider.id, genai_request_timestamp=time,
                )  # fmt: skip
            except LookupError:
                continue
            rates = {key: value for key, value in vars(theirs.model_price).items() if value is not None}
            if not rates.keys() <= PLAIN | {
                "cache_write_1h_mtok",
                "web_searches_kcount",
                "output_reasoning_mtok",
            }:
                continue
            if not {"input_mtok", "output_mtok"} <= rates.keys() or not all(map(exact, rates.values())):
                continue
            event = Event(0, "o", "inference", time_us=int(time.timestamp()) * 10**6)
            call = convert_call({"provider": provider.id, "model": model.id, "tokens": used})
            assert call is not None
            ours = rate_call(event, call, rows, lambda digest: catalogue)
            assert Decimal(ours.list_cost) / PICO == theirs.total_price, (provider.id, model.id, time)
            compared += 1
    assert compared > 300
