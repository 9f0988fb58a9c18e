"""Restatements: a price learned late changes what calls cost, by entries of their own (docs/rules.md, R14, R15)."""

import json
import sqlite3
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from ledger.errors import LogDamaged
from ledger.log import Record
from ledger.log.topics import DECISIONS, ENTRIES
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from streams.folds.event import parse_record
from streams.partition_state import PartitionState, split_runs
from streams.replay import open_catalogues, replay
from tests.streams.build import BOOK, DIGEST, PACKED, adopt, budget, call, control, correction, record

LATE_DIGEST, LATE = pack_book(parse_book(BOOK.replace("input: 1,", "input: 3,"), "the test"))
RENAMED_DIGEST, RENAMED = pack_book(parse_book(BOOK.replace("name: test", "name: renamed"), "the test"))
PAGES = {DIGEST: PACKED, LATE_DIGEST: LATE, RENAMED_DIGEST: RENAMED}
REPLACEMENT = {"model": "m1", "tokens": {"input": 7}}
PLATFORM: dict[str, Any] = {"organization": "_platform"}


def adopt_late(digest: str = LATE_DIGEST, name: str = "test") -> bytes:
    return control(f"late-{digest}", "price_book.adopted", name=name, document=digest)


def restate(id: str, end: int, first: int = 0, **scope: Any) -> bytes:
    return control(id, "price.restated", first_offset=first, end_offset=end, **scope)


def derive(log: list[Record], topic: Any = ENTRIES) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for derived_topic, derived in replay(log, PAGES)
        if derived_topic is topic
        for line in derived.value.split(b"\n")
    ]


def sum_entries(lines: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    sums: Counter[tuple[str, str]] = Counter()
    for line in lines:
        for entry in line.get("lines", ()):
            for name in ("quantity", "list_cost", "billed_cost"):
                sums[line["id"], entry["class"] + name] += Decimal(entry[name] or 0)  # type: ignore[assignment]
            sums[line["id"], "unpriced"] += entry["quantity"] if entry["list_cost"] is None else 0
    return Counter({key: value for key, value in sums.items() if value})


steps = some.lists(some.tuples(some.integers(0, 3), some.integers(0, 4), some.integers(1, 10**6)), max_size=8)


def build_lines(choices: list[tuple[int, int, int]]) -> list[bytes]:
    """Build calls, revisions, reversals and replacements of a few identities."""
    return [
        call(str(id), tokens={"input": tokens}, revision=kind)
        if kind < 3
        else correction(
            f"c{number}", str(id), replacement=None if kind == 3 else {"model": "m1", "tokens": {"input": 7}}
        )
        for number, (id, kind, tokens) in enumerate(choices)
    ]


@settings(deadline=None, max_examples=50)
@given(steps, some.integers(0, 8))
def test_a_restatement_gives_the_sums_of_prices_known_from_the_start(
    choices: list[tuple[int, int, int]], adopted: int
) -> None:
    lines = build_lines(choices)
    before = [*lines[:adopted], adopt(), *lines[adopted:]]
    log = [record(offset, line) for offset, line in enumerate(before)]
    end = len(log)
    log += [record(end, adopt_late()), record(end + 1, restate("r", end), **PLATFORM)]
    known = [adopt_late(), *lines]
    assert sum_entries(derive(log)) == sum_entries(derive([record(offset, line) for offset, line in enumerate(known)]))
    again = derive([*log, record(end + 2, restate("again", end), **PLATFORM)])
    assert [line["outcome"] for line in again if line["offset"] == end + 2] == ["counted", "record"]
    assert again[: len(derive(log))] == derive(log), "what was written stays"


@settings(deadline=None, max_examples=50)
@given(steps, some.integers(0, 8))
def test_what_is_corrected_after_a_restatement_takes_back_what_was_restated(
    choices: list[tuple[int, int, int]], restated: int
) -> None:
    lines = build_lines(choices)
    platform = [adopt_late(), restate("r", min(restated, len(lines)) + 1)]
    log = [record(0, adopt())]
    log += [record(offset, line) for offset, line in enumerate(lines[:restated], 1)]
    log += [record(len(log), *platform, **PLATFORM)]
    log += [record(offset, line) for offset, line in enumerate(lines[restated:], len(log))]
    reversals = [correction(f"end-{id}", str(id)) for id in range(4)]
    assert not sum_entries(derive([*log, record(len(log), *reversals)]))


@settings(deadline=None, max_examples=30)
@given(steps, some.randoms())
def test_however_the_log_is_cut_the_bytes_are_the_same(choices: list[tuple[int, int, int]], chance: Any) -> None:
    log = [record(0, adopt(), budget("b", "1"))]
    for line in build_lines(choices):
        log.append(record(len(log), line))
        if chance.random() < 0.4:
            body = [restate(f"r{len(log)}", len(log), chance.randrange(len(log)))]
            log.append(record(len(log), *([adopt_late()] if chance.random() < 0.5 else []), *body, **PLATFORM))
    whole = [derived._replace(offset=-1) for _, derived in replay(log, PAGES)]
    state, books, cut = PartitionState(sqlite3.connect("", isolation_level=None)), open_catalogues(PAGES), 0
    parts: list[Record] = []
    while cut < len(log):
        batch = state.parse_batch(log[cut : cut + chance.randint(1, 3)], lambda first, end: log[first:end])
        derived, _, change = state.fold_batch(
            batch, state.open_state(0), books, lambda offset, index: log[offset].value.split(b"\n")[index]
        )
        state.apply(0, change)
        parts += (made for _, made in derived)
        cut += len(batch.records)
    assert parts == whole


def test_a_run_ends_with_its_restatement() -> None:
    spoken = call("a", tags={"note": "price.restated"})
    log = [
        record(0, spoken), record(1, restate("r", 1), **PLATFORM), record(2, restate("s", 1), **PLATFORM),
        record(3, spoken), record(4, call("b")),
    ]  # fmt: skip
    assert [[part.offset for part in run] for run in split_runs(log)] == [[0, 1], [2], [3, 4]]
    assert list(split_runs([])) == []


def test_a_price_of_another_name_with_the_same_rates_changes_nothing() -> None:
    log = [record(0, adopt(), call("a")), record(1, adopt_late(RENAMED_DIGEST, "renamed"), restate("r", 1), **PLATFORM)]
    assert [line["outcome"] for line in derive(log)][-3:] == ["counted", "counted", "record"]


def test_a_budget_counts_a_restated_call_by_its_new_price_if_it_counted_it_before() -> None:
    log = [
        record(0, call("before", model="m1"), adopt()), record(1, budget("b", "4"), call("a")),
        record(2, adopt_late(), restate("r", 2), **PLATFORM),
    ]  # fmt: skip
    crossed = [line for line in derive(log, DECISIONS) if line["decision"] == "threshold.crossed"]
    assert [(line["threshold"], line["used"][:3], line["event_id"]) for line in crossed] == [(50, "3.0", "a")]


@pytest.mark.parametrize("organization", ["acme", "_platform"])
def test_a_restatement_without_effect_says_why(organization: str) -> None:
    body = restate("r", 1) if organization == "acme" else restate("r", 9)
    log = [record(0, adopt(), call("a")), record(1, adopt_late(), body, organization=organization)]
    (answer,) = [line for line in derive(log, DECISIONS) if line["decision"] == "control.ineffective"]
    assert "_platform restates" in answer["reason"] and "restatement" not in {one["outcome"] for one in derive(log)}


def test_a_range_that_the_log_lacks_stops_the_fold() -> None:
    state = PartitionState(sqlite3.connect("", isolation_level=None))
    with pytest.raises(LogDamaged, match="offset 0 to 1"):
        state.parse_batch([record(1, restate("r", 1), **PLATFORM)])
    assert parse_record(record(0)).events == []
