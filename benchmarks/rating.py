"""Rating a call against asking genai-prices for its price: ``python -m benchmarks.rating [CALLS]``.

The calls are of eight models, with batches, tiers of context, caches and speeds among them. Both must give one sum.
"""

import random
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices

from ledger.money import PICO
from ledger.pricing.genai_prices import genai_prices as compile_catalogue
from streams.folds.call import convert_call
from streams.folds.event import Event
from streams.folds.prices.price_lookup import Catalogue
from streams.folds.rating import BOOKS, rate_call
from streams.folds.state import State
from streams.runtime import reduce_garbage_collection

NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
CALLS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("anthropic", "claude-sonnet-4-5", {}), ("anthropic", "claude-opus-5-5", {"speed": "fast"}),
    ("anthropic", "claude-sonnet-4-6", {"processing": "batch"}), ("openai", "gpt-5", {}),
    ("openai", "gpt-5.4", {"service_tier": "flex"}), ("openai", "gpt-4o", {"processing": "batch"}),
    ("google", "gemini-2.5-pro", {}), ("deepseek", "deepseek-flash", {}),
)  # fmt: skip


def main(calls: int = 20_000) -> None:
    reduce_garbage_collection()  # as a worker does
    chance = random.Random(20261130)
    catalogue = Catalogue("document", compile_catalogue())
    books = State()
    books.put(BOOKS, (("genai-prices", "document"),))
    event = Event(0, "acme", "inference", time_us=int(NOON.timestamp()) * 10**6)
    ours, theirs = [], []
    for _ in range(calls):
        provider, model, context = chance.choice(CALLS)
        tokens = {name: chance.randrange(150_000) for name in ("input", "cache_read")} | {
            "output": chance.randrange(4000)
        }
        words = {"service_tier" if name == "processing" else name: word for name, word in context.items()}
        call = convert_call({"provider": provider, "model": model, "tokens": tokens, **words})
        assert call is not None
        ours.append(call)
        usage = genai_prices.Usage(
            input_tokens=tokens["input"] + tokens["cache_read"], cache_read_tokens=tokens["cache_read"],
            output_tokens=tokens["output"],
        )  # fmt: skip
        theirs.append((usage, provider, model, context))

    seconds: dict[str, float] = {}
    begin = time.perf_counter()
    total = sum(rate_call(event, call, books, lambda _: catalogue).list_cost for call in ours)
    seconds["ours"] = time.perf_counter() - begin
    begin = time.perf_counter()
    expected = sum(
        (
            genai_prices.calc_price(
                usage, model, provider_id=provider, genai_request_timestamp=NOON, price_context=context or None
            ).total_price
            for usage, provider, model, context in theirs
        ),
        Decimal(0),
    )
    seconds["genai-prices"] = time.perf_counter() - begin
    assert Decimal(total) / PICO == expected, (total, expected)
    for name, duration in seconds.items():
        print(f"{name:14} {duration / calls * 1e6:8.1f} us a call")
    print(f"{'ratio':14} {seconds['genai-prices'] / seconds['ours']:8.1f} times as fast as genai-prices")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
