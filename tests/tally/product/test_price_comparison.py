"""What a comparison of prices foretells is what adopting the book and restating give, to the last digit."""

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from ingest.controls.prices import adopt_price_book
from ledger.log import PARTITIONS, Log, Record, records
from ledger.log.documents import store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import ENTRIES, EVENTS
from ledger.pricing.price_book import unpack_book
from ledger.settings import Settings
from streams.folds.event import EPOCH
from streams.replay import replay
from tally.product.price_comparison import compare_prices
from tally.product.price_difference import Totals
from tally.product.restatement import plan_restatement
from tests.rules import test_agree
from tests.rules.test_rules import BOOKS, DOCUMENTS
from tests.streams.build import START

Line = dict[str, Any]
TIMES: tuple[dict[str, str], ...] = (
    {},
    {"since": START.isoformat()},
    {"until": START.isoformat()},
    {"since": (START - timedelta(days=1)).isoformat(), "until": (START + timedelta(seconds=1)).isoformat()},
)
CENTURY = {"since": "2000-01-01T00:00:00+00:00", "until": "2200-01-01T00:00:00+00:00"}


def read_lines(log: Log) -> list[Line]:
    """Derive the entries of a log by the folds, in memory."""
    past = [record for partition in range(PARTITIONS) for record in records(log, EVENTS, partition)]
    derived = replay(past, DOCUMENTS)
    entries = (made.value.split(b"\n") for topic, made in derived if topic is ENTRIES)
    return [msgspec.json.decode(line) for lines in entries for line in lines]


def sum_lines(lines: Iterable[Line], since: str | None, until: str | None) -> dict[str, Counter[Any]]:
    """Sum the entries of calls from a time to another: costs by team, model and currency, and how many calls."""
    first, end = (
        (datetime.fromisoformat(time) - EPOCH) // timedelta(microseconds=1)
        for time in (since or CENTURY["since"], until or CENTURY["until"])
    )
    sums: dict[str, Counter[Any]] = {"list": Counter(), "billed": Counter(), "calls": Counter()}
    for line in lines:
        time: Any = line.get("time_us")
        if "pricing" not in line or not first <= time < end:
            continue
        key = line.get("team", ""), line.get("model_resolved") or line.get("model") or "", line.get("currency", "")
        sign = -1 if line["outcome"] == "reversal" else 1
        sums["calls"]["all"] += sign * (line.get("calls") or 1)
        sums["calls"]["unpriced"] += sign * (line.get("calls") or 1) * (line["pricing"] not in ("priced", "free"))
        for part in line["lines"]:
            for kind in ("list", "billed"):
                sums[kind][key] += int(Fraction(part[f"{kind}_cost"] or 0) * 10**12)
    return {name: drop_zeros(counts) for name, counts in sums.items()}


def drop_zeros(counts: Counter[Any]) -> Counter[Any]:
    return Counter({key: count for key, count in counts.items() if count})


def render_totals(totals: Totals) -> dict[str, Counter[Any]]:
    sums: dict[str, Counter[Any]] = {"list": Counter(), "billed": Counter(), "calls": Counter()}
    for name, costs in (("list", totals.list_costs), ("billed", totals.billed_costs)):
        for group, cost in costs.items():
            sums[name][group.team, group.model, group.currency] += cost
    sums["calls"].update(all=totals.calls.total(), unpriced=totals.unpriced.total())
    return {name: drop_zeros(counts) for name, counts in sums.items()}


def compare_with_truth(log: EmbeddedLog, home: Path, book: str, times: dict[str, str]) -> Counter[str]:
    """Compare the foretold sums with those after the book was adopted and calls restated; count what is changed."""
    config, candidate = Settings(home=home), unpack_book(*BOOKS[book])
    ends = log.ends(EVENTS)
    difference = compare_prices(log, config, candidate, times)
    assert log.ends(EVENTS) == ends, "nothing was appended"
    adopt_price_book(log, config, candidate)
    adopted_ends = log.ends(EVENTS)
    scope = {"since": difference.since, "until": difference.until, "provider": None, "model": None}
    plan = plan_restatement(log, config, scope, None)
    log.append(EVENTS, plan.drafts)
    lines = read_lines(log)
    before = [line for line in lines if line["offset"] < adopted_ends[line["partition"]]]
    assert render_totals(difference.recorded) == sum_lines(before, difference.since, difference.until)
    assert render_totals(difference.after) == sum_lines(lines, difference.since, difference.until)
    assert plan_restatement(log, config, scope, None).drafts == []
    return Counter(changed=difference.changed_calls.total(), pending=difference.pending_calls)


def fill(log: EmbeddedLog, made: list[Record]) -> None:
    for document, packed in DOCUMENTS.items():
        store_document(log, document, packed)
    log.insert(EVENTS, made)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(test_agree.records | test_agree.decisions, some.sampled_from(sorted(BOOKS)), some.sampled_from(TIMES))
def test_whatever_the_log_holds_the_difference_comes_true(
    steps: list[tuple[list[bytes], list[bytes], int]], book: str, times: dict[str, str]
) -> None:
    with TemporaryDirectory() as folder, closing(EmbeddedLog(Path(folder))) as log:
        fill(log, test_agree.log(steps))
        compare_with_truth(log, Path(folder), book, times)
