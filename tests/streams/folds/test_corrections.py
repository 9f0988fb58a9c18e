"""Corrections and revisions: an entry is taken back exactly, and what is in force is what was said last."""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from ledger.errors import LogDamaged
from ledger.log import Record
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DECISIONS, ENTRIES, EVENTS
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from ledger.token_classes import QUANTITY_CLASSES, TOKEN_CLASSES
from streams.folds.chain import fold_record
from streams.folds.event import parse_record
from streams.folds.identity import Identities
from streams.folds.state import State
from streams.partition_state import PartitionState
from streams.replay import open_catalogues, replay
from streams.runtime import read_originals
from tests.streams.build import DOCUMENTS, adopt, budget, call, control, correction, record

DEARER = """
name: test
currency: USD
providers: [{id: acme, model_match: {equals: m1}, models: [{id: m1, prices: [{rates: {input: 5}}]}]}]
"""
DEARER_DIGEST, DEARER_PACKED = pack_book(parse_book(DEARER, "the test"))
PAGES = DOCUMENTS | {DEARER_DIGEST: DEARER_PACKED}
COSTS = ("list_cost", "contracted_cost", "effective_cost", "billed_cost")
Line = dict[str, Any]


def derive(records: Sequence[Record], documents: dict[str, bytes] = PAGES) -> tuple[list[Line], list[Line]]:
    """Return the lines of entries and decisions, without what control records and records as a whole give."""
    lines: dict[str, list[Line]] = {ENTRIES.name: [], DECISIONS.name: []}
    for topic, derived in replay(records, documents):
        lines.setdefault(topic.name, []).extend(map(json.loads, derived.value.split(b"\n")))
    entries = [line for line in lines[ENTRIES.name] if line["outcome"] != "record" and line["kind"] != "control"]
    return entries, [line for line in lines[DECISIONS.name] if line["decision"] != "control.applied"]


def outcomes(entries: Sequence[Line]) -> list[tuple[str, str | None]]:
    return [(line["outcome"], line.get("reason")) for line in entries]


def add_up(entries: Sequence[Line]) -> tuple[Any, ...]:
    """Return quantities by class, billed cost, and calls in force."""
    quantities: Counter[str] = Counter()
    billed, calls = Decimal(0), 0
    for line in entries:
        if line.get("unpriced_reason") != "quarantined":
            calls += {"reversal": -1, "replacement": 1}.get(line["outcome"], int("lines" in line))
        for entry in line.get("lines", ()):
            quantities[entry["class"]] += entry["quantity"]
            billed += Decimal(entry["billed_cost"] or 0)
    return +quantities, billed, calls


def test_a_reversal_is_the_entry_with_other_signs() -> None:
    original = call("a", 5, team="search", tokens={"input": 1_000_000, "output": 3})
    entries, _ = derive([record(0, adopt(), original), record(1, correction("c", "a"))])
    counted, reversing, reversal = entries
    assert outcomes(entries) == [("counted", None), ("counted", None), ("reversal", "reversal")]
    assert reversing["kind"] == "correction" and "lines" not in reversing
    assert (reversal["original_offset"], reversal["original_index"], reversal["seq"]) == (0, 1, 2)
    same = ("source", "id", "time_us", "team", "model", "price_id", "price_document", "currency", "pricing")
    assert [reversal[name] for name in same] == [counted[name] for name in same]
    for line, former in zip(reversal["lines"], counted["lines"], strict=True):
        assert line["quantity"] == -former["quantity"] and line["unit_price"] == former["unit_price"]
        for cost in COSTS:
            assert Decimal(line[cost] or 0) == -Decimal(former[cost] or 0)
    assert add_up(entries) == (Counter(), 0, 0)


def test_a_reversal_has_the_prices_of_its_original() -> None:
    """Also where another document took the place of the one in force, before the original and after it."""
    again = control("again", "price_book.adopted", name="test", document=DEARER_DIGEST)
    entries, _ = derive([record(0, adopt(), call("a"), again, call("b")), record(1, correction("c", "a"))])
    assert [line["price_document"] for line in entries if "lines" in line] == [
        *DOCUMENTS, DEARER_DIGEST, *DOCUMENTS,
    ]  # fmt: skip
    assert add_up(entries)[1] == 5


@pytest.mark.parametrize("is_one_record", [True, False])
def test_a_replacement_counts_in_place_of_its_original(is_one_record: bool) -> None:
    replaced = correction("c", "a", at_s=50, replacement={"model": "m1", "tokens": {"input": 2_000_000}})
    lines = [adopt(), call("a", 5), replaced, correction("d", "a", at_s=60)]
    log = [record(0, *lines)] if is_one_record else [record(offset, line) for offset, line in enumerate(lines)]
    entries, decisions = derive(log)
    assert outcomes(entries) == [
        ("counted", None), ("counted", None), ("reversal", "replacement"), ("replacement", None),
        ("counted", None), ("reversal", "reversal"),
    ]  # fmt: skip
    original, _, reversal, replacement, _, second = entries
    assert replacement["time_us"] == original["time_us"] == reversal["time_us"] == second["time_us"]
    assert (replacement["source"], replacement["id"], second["id"]) == ("people", "c", "c")
    assert replacement["original_offset"] == reversal["original_offset"] and not decisions
    assert add_up(entries[:4]) == (Counter(input=2_000_000), 2, 1)
    assert add_up(entries) == (Counter(), 0, 0), "the second correction names what is in force"


def test_a_replacement_of_what_was_quarantined_or_reversed_counts() -> None:
    wrong = call("a", reported_tokens={"input": 5})
    right = {"model": "m1", "tokens": {"input": 7}}
    entries, decisions = derive([
        record(0, adopt(), wrong, correction("c", "a"), correction("d", "a", replacement=right)),
        record(1, correction("e", "a"), correction("f", "a", replacement=right), correction("g", "a")),
    ])  # fmt: skip
    assert not decisions, "a reversal takes the bound of totals that contradict back"
    assert [line["outcome"] for line in entries if line["kind"] == "inference"] == [
        "quarantined", "reversal", "replacement", "reversal", "replacement", "reversal",
    ]  # fmt: skip
    assert add_up(entries) == (Counter(), 0, 0)
    bounds = [Decimal(line["greatest_unpriced_cost"]) for line in entries if "greatest_unpriced_cost" in line]
    assert sum(bounds) == 0 and sum(line.get("unknown_tokens", 0) for line in entries) == 0


def test_an_inference_ahead_of_its_time_is_held_and_a_reversal_keeps_it_from_counting() -> None:
    ahead = call("a", 10**6)
    entries, decisions = derive([record(0, adopt(), ahead, correction("c", "a")), record(1, at_s=10**6)])
    assert not decisions
    assert outcomes(entries) == [("held", "event_time_in_future"), ("counted", None), ("release", "held")]
    assert (entries[-1]["original_offset"], entries[-1]["original_index"]) == (0, 1)
    assert add_up(entries) == (Counter(), 0, 0)


def test_a_correction_without_effect_says_why() -> None:
    unfit = correction("x", "a").replace(b'"reversal"', b'"else"')
    other_organization = record(2, correction("o", "a"), organization="other")
    log = [
        record(0, adopt(), call("a"), correction("b", "nobody's"), correction("c", "a"), correction("d", "a")),
        record(1, correction("e", "c", source="people"), correction("f", "book", source="people"), unfit),
        other_organization,
    ]
    entries, decisions = derive(log)
    assert [(one["decision"], one["event_id"], one["reason"].split(":")[0]) for one in decisions] == [
        ("correction.ineffective", "b", "no event before it has this identity in this organization"),
        ("correction.ineffective", "d", "the event is reversed already"),
        ("correction.ineffective", "e", "it names a correction"),
        ("correction.ineffective", "f", "it names no inference, and only an inference has an entry"),
        ("correction.ineffective", "o", "no event before it has this identity in this organization"),
    ]
    assert [line["reason"] for line in entries if line["outcome"] == "quarantined"] == ["schema_mismatch"]
    assert add_up(entries) == (Counter(), 0, 0)


def test_a_greater_revision_takes_the_place_of_the_one_before() -> None:
    first, second, third = (call("a", tokens={"input": number}, revision=number) for number in (1, 2, 3))
    equal = call("a", tokens={"input": 9}, revision=3)
    entries, _ = derive([record(0, adopt(), first, third, second, equal), record(1, third, call("a"))])
    assert outcomes(entries) == [
        ("counted", None), ("counted", None), ("reversal", "revision"), ("duplicate", "superseded"),
        ("conflict", "content_mismatch"), ("duplicate", None), ("duplicate", "superseded"),
    ]  # fmt: skip
    assert [line.get("original_index") for line in entries] == [None, 1, 1, 2, 2, 2, 2]
    assert add_up(entries)[0] == Counter(input=3)


def test_without_revisions_other_content_stays_a_conflict() -> None:
    entries, _ = derive([record(0, adopt(), call("a"), call("a", 1), call("a", revision=0))])
    assert [line["outcome"] for line in entries] == ["counted", "conflict", "conflict"]


def test_a_revision_that_is_quarantined_takes_the_one_before_out_of_the_ledger() -> None:
    unfit = call("a", revision=2, reported_tokens={"input": 5})
    for order in ([call("a"), unfit], [unfit, call("a")]):
        entries, _ = derive([record(0, adopt(), *order)])
        assert add_up(entries) == (Counter(), 0, 0), order


def test_a_greater_revision_brings_back_what_was_reversed() -> None:
    entries, _ = derive([record(0, adopt(), call("a"), correction("c", "a"), call("a", revision=1))])
    assert add_up(entries) == (Counter(input=1_000_000), 1, 1)


classes = some.dictionaries(some.sampled_from(TOKEN_CLASSES), some.integers(0, 10**12), max_size=4)
fields = some.fixed_dictionaries(
    {"tokens": classes, "model": some.sampled_from(("m1", "nobody's"))},
    optional={
        "payer": some.sampled_from(("customer", "platform")),
        "quantities": some.dictionaries(some.sampled_from(QUANTITY_CLASSES), some.integers(0, 10**12), max_size=2),
    },
)


@settings(deadline=None)
@given(fields, fields)
def test_what_is_reversed_sums_to_zero_in_every_class_and_cost(first: dict[str, Any], second: dict[str, Any]) -> None:
    log = [record(0, adopt(), call("a", **first), correction("c", "a", replacement=second), correction("d", "a"))]
    entries, _ = derive(log)
    sums: Counter[tuple[str, str]] = Counter()
    for line in entries:
        for entry in line.get("lines", ()):
            sums.update({(entry["class"], name): Decimal(entry[name] or 0) for name in (*COSTS, "quantity")})
    assert not any(sums.values()) and add_up(entries)[2] == 0


@settings(deadline=None)
@given(some.lists(some.tuples(some.integers(0, 3), some.integers(0, 4)), max_size=12), some.randoms())
def test_however_the_log_is_cut_the_bytes_are_the_same(steps: list[tuple[int, int]], chance: Any) -> None:
    """State and identities go to a store and back between batches."""
    lines = [
        call(str(id), tokens={"input": number}, revision=revision)
        if revision < 3
        else correction(f"c{number}", str(id), replacement=None if revision == 3 else {"model": "m1", "tokens": {}})
        for number, (id, revision) in enumerate(steps)
    ]
    log = [record(0, adopt(), budget("b", "1")), *(record(offset, line) for offset, line in enumerate(lines, 1))]
    whole = [derived._replace(offset=-1) for _, derived in replay(log, PAGES)]
    db = sqlite3.connect("", isolation_level=None)

    def read_line(offset: int, event_index: int) -> bytes:
        assert offset < cut, "the batch has its own lines"
        return log[offset].value.split(b"\n")[event_index]

    state, books, cut = PartitionState(db), open_catalogues(PAGES), 0
    parts: list[Record] = []
    while cut < len(log):
        batch = log[cut : cut + chance.randint(1, 4)]
        derived, _, change = state.fold_batch(state.parse_batch(batch), state.open_state(0), books, read_line)
        state.apply(0, change)
        parts += (made for _, made in derived)
        cut += len(batch)
    assert parts == whole


revisions = some.dictionaries(some.integers(0, 9), some.integers(1, 10**6), min_size=1, max_size=4)


@settings(deadline=None)
@given(revisions, some.randoms())
def test_any_order_of_revisions_ends_with_the_greatest(tokens: dict[int, int], chance: Any) -> None:
    lines = [call("a", tokens={"input": amount}, revision=number) for number, amount in tokens.items()]
    lines += chance.choices(lines, k=2)
    chance.shuffle(lines)
    entries, _ = derive([record(0, adopt()), *(record(offset, line) for offset, line in enumerate(lines, 1))])
    greatest = tokens[max(tokens)]
    assert add_up(entries) == (+Counter(input=greatest), Decimal(greatest) / 10**6, 1)


def test_a_reversal_leaves_a_budget_as_it_was() -> None:
    """Whatever the order, the spend of the window is that of the entries in force; nothing crosses twice."""
    grown = [call("a", 1, tokens={"input": amount}, revision=amount) for amount in (100_000, 600_000, 700_000)]
    for order in permutations(grown):
        log = [record(0, adopt(), budget("b", "1")), *(record(at, line) for at, line in enumerate(order, 1))]
        _, decisions = derive([*log, record(9, call("b", 2, tokens={"input": 90_000}))])
        assert [one["threshold"] for one in decisions] == [50], order


def test_a_reversed_call_gives_back_and_arms_a_threshold_again_at_once() -> None:
    log = [record(0, adopt(), budget("b", "1"), call("a", 1, tokens={"input": 600_000}))]
    log += [record(1, correction("c", "a", at_s=2)), record(2, call("b", 3, tokens={"input": 600_000}), at_s=3)]
    _, decisions = derive(log)
    assert [(one["decision"], one["threshold"], one["used"][:3]) for one in decisions] == [
        ("threshold.crossed", 50, "0.6"), ("threshold.rearmed", 50, "0.0"), ("threshold.crossed", 50, "0.6"),
    ]  # fmt: skip


def test_a_reversal_of_what_came_before_the_budget_takes_nothing_out_of_it() -> None:
    log = [record(0, adopt(), call("before", 1)), record(1, budget("b", "4"), call("a", 1))]
    log += [record(2, correction("c", "before"), call("b", 1))]
    _, decisions = derive(log)
    assert [(one["threshold"], one["used"][:3]) for one in decisions] == [(50, "2.0")]


def test_a_reversal_of_a_call_that_was_not_judged_takes_nothing_from_calls_beside_it() -> None:
    """A call three windows old was never added, and its bucket is stored for windows that are judged."""
    log = [record(0, adopt(), budget("b", "4", 60), call("a", 20)), record(1, call("b", 200), at_s=200)]
    log.append(record(2, call("older", 79), at_s=200))
    late = record(4, call("late", 80), at_s=200)
    for reversal in (record(3, at_s=200), record(3, correction("c", "older"), at_s=200)):
        _, decisions = derive([*log, reversal, late])
        assert [(one["event_id"], one["threshold"], one["used"][:3], one["past"]) for one in decisions] == [
            ("late", 50, "2.0", True)
        ]


def test_detectors_judge_a_call_once() -> None:
    """A revision and a replacement of one call are no repeats of it."""
    tool: Any = {"session": "s", "tool": "grep", "tool_arguments_hash": "x", "tool_result_hash": "y"}
    lines = [call("a", revision=number, **tool) for number in range(4)]
    lines.append(correction("c", "a", replacement={"model": "m1", **tool}))
    assert not [topic for topic, _ in replay([record(0, adopt(), *lines)], PAGES) if topic.name == "tally.alerts"]


@pytest.mark.parametrize("line", [call("a", 1), b"{}", adopt()])
def test_a_line_that_is_not_the_one_that_was_folded_stops_the_fold(line: bytes) -> None:
    state, identities, books = State(), Identities(), open_catalogues(PAGES)
    for made in (record(0, adopt()), record(1, call("a"))):
        fold_record(parse_record(made), state, identities, books, lambda *_: b"")
    with pytest.raises(LogDamaged, match="offset 1, index 0"):
        fold_record(parse_record(record(2, correction("c", "a"))), state, identities, books, lambda *_: line)


def test_a_line_that_the_log_lacks_is_named(tmp_path: Path) -> None:
    with closing(EmbeddedLog(tmp_path)) as log:
        log.insert(EVENTS, [record(0, call("a"))])
        read = read_originals(log, 0)
        assert read(0, 0) == call("a")
        for offset, index in ((0, 1), (1, 0)):
            with pytest.raises(LogDamaged, match=f"offset {offset}, index {index}"):
                read(offset, index)


@settings(deadline=None, max_examples=50)
@given(some.lists(some.tuples(some.integers(0, 2), some.integers(0, 5)), max_size=12), some.randoms())
def test_what_is_held_falls_due_however_the_log_is_cut(steps: list[tuple[int, int]], chance: Any) -> None:
    """Its identity and its line are in no batch that it falls due in: both are read through."""
    kinds = {
        0: lambda id, number: call(id, 1000, tokens={"input": number}),
        1: lambda id, number: call(id, tokens={"input": number}, revision=number % 3),
        2: lambda id, number: correction(f"c{number}", id, at_s=1000),
        3: lambda id, number: correction(f"c{number}", id, replacement={"model": "m1", "tokens": {"input": 1}}),
        4: lambda id, number: call(id, 1000, tokens={"input": number}, revision=4),
        5: lambda id, number: call(f"other{number}"),
    }
    lines = [kinds[kind](str(id), number) for number, (id, kind) in enumerate(steps)]
    log = [record(0, adopt(), budget("b", "1"))]
    log += [record(offset, line, at_s=offset * 120) for offset, line in enumerate(lines, 1)]
    log.append(record(len(log), at_s=5000))
    whole = [derived._replace(offset=-1) for _, derived in replay(log, PAGES)]
    state, books, cut = PartitionState(sqlite3.connect("", isolation_level=None)), open_catalogues(PAGES), 0
    parts: list[Record] = []
    while cut < len(log):
        batch = log[cut : cut + chance.randint(1, 4)]
        derived, _, change = state.fold_batch(
            state.parse_batch(batch), state.open_state(0), books,
            lambda offset, event_index: log[offset].value.split(b"\n")[event_index],
        )  # fmt: skip
        state.apply(0, change)
        parts += (made for _, made in derived)
        cut += len(batch)
    assert parts == whole
