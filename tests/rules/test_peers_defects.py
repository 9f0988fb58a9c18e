"""Cost defects that users of other products reported, each from a provider's answer to the entry."""

import json
from decimal import Decimal
from typing import Any

import pytest

from ledger.log import Record
from ledger.log.topics import DECISIONS, ENTRIES
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from streams.replay import replay
from tallystick.usage.reader import read_fields
from tests.streams.build import BOOK, DIGEST, PACKED, adopt, budget, call, control, record

CACHE_BOOK = BOOK.replace("input: 1,", "input: 1, cache_read: 0.1, cache_write: 1.25,")
CACHE_DIGEST, CACHE_PACKED = pack_book(parse_book(CACHE_BOOK, "the test"))
DEARER_DIGEST, DEARER_PACKED = pack_book(parse_book(BOOK.replace("input: 1,", "input: 9,"), "the test"))
BOOKS = {DIGEST: PACKED, CACHE_DIGEST: CACHE_PACKED, DEARER_DIGEST: DEARER_PACKED}


def fold(*log: Record) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the lines of entries that have a price or lack one, and the decisions."""
    lines: dict[Any, list[dict[str, Any]]] = {ENTRIES: [], DECISIONS: []}
    for topic, derived in replay(log, BOOKS):
        lines[topic] += map(json.loads, derived.value.split(b"\n"))
    return [line for line in lines[ENTRIES] if "pricing" in line], lines[DECISIONS]


def adopt_caches() -> bytes:
    return control("caches", "price_book.adopted", name="test", document=CACHE_DIGEST)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        # OpenAI's prompt has the cached tokens in it: 400 at a tenth, 600 whole
        ({"prompt_tokens": 1000, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 400}}, "640"),
        # Anthropic's input leaves them out, and writes stand apart too
        (
            {
                "input_tokens": 600, "output_tokens": 0, "cache_read_input_tokens": 400,
                "cache_creation_input_tokens": 100,
            },
            "765",
        ),
    ],
    ids=["within the input", "beside the input"],
)  # fmt: skip
def test_cached_tokens_are_counted_once_and_at_their_own_rate(usage: dict[str, Any], cost: str) -> None:
    """langfuse#12306, litellm#14849, PostHog#32050."""
    fields = read_fields({"model": "m1", "usage": usage})
    assert fields is not None
    entries, _ = fold(record(0, adopt_caches(), call("a", tokens=fields["tokens"])))
    assert sum(Decimal(line["list_cost"]) for line in entries[0]["lines"]) == Decimal(cost) / 1_000_000


def test_history_keeps_its_price_when_the_catalogue_changes() -> None:
    """models.dev#4006: a later book prices later calls, and the past only by a restatement."""
    adoption = control("dearer", "price_book.adopted", name="test", document=DEARER_DIGEST)
    entries, _ = fold(record(0, adopt(), call("a")), record(1, adoption), record(2, call("b")))
    assert [(line["id"], line["lines"][0]["list_cost"]) for line in entries] == [
        ("a", "1.000000000000"), ("b", "9.000000000000"),
    ]  # fmt: skip


def test_a_model_without_a_price_is_not_free_and_a_budget_sees_it() -> None:
    """paperclip#5598: it was booked at 0 dollars, and drained a key of 100."""
    denial = control(
        "limit", "budget.allocated", dimension="organization", scope="acme", limit="100", currency="USD",
        window_s=3600, unknown_usage="deny",
    )  # fmt: skip
    entries, decisions = fold(record(0, adopt(), denial), record(1, call("a", model="unheard of")))
    (line,) = entries[0]["lines"]
    assert (entries[0]["pricing"], line.get("list_cost"), line.get("billed_cost")) == ("unpriced", None, None)
    assert "unknown_usage.raised" in {decision["decision"] for decision in decisions}


def test_an_aborted_stream_is_unknown_and_bounded_by_what_was_asked_for() -> None:
    """litellm#14457: its usage was lost, and with it the cost."""
    aborted = call("a", tokens=None, usage_source="missing", max_tokens=2000, status="error")
    entries, _ = fold(record(0, adopt(), budget("b", "1"), aborted))
    assert entries[0]["pricing"] == "unknown" and entries[0]["unpriced_reason"] == "usage missing"
    assert Decimal(entries[0]["greatest_unpriced_cost"]) == Decimal(1_000_000 - 2000 + 2000 * 10) / 1_000_000
