"""``tally price explain``: each entry is rated again, and everything that decided its price is shown."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import TallyError
from ledger.log import Draft
from ledger.log.documents import store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.organizations import PLATFORM
from ledger.pricing.contract import pack_contract
from ledger.pricing.contract_file import parse_contract
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.folds import rating
from streams.runtime import read_catalogues
from tally.product import price_explanation
from tests.streams.build import control
from tests.tally.conftest import invoke

BOOK = """
name: base
currency: USD
providers:
  - id: acme
    models:
      - id: lion
        prices: [{rates: {input: {base: 2, tiers: [{above: 100, rate: 4}]}, output: 10}}]
"""
NAMES = """
name: names
currency: USD
providers:
  - id: acme
    model_match: {starts_with: lion}
    models:
      - {id: lion, prices: [{rates: {input: 2}}]}
      - {id: lion-xl, prices: [{rates: {input: 3}}]}
      - {id: otter, prices: [{rates: {input: 4}}]}
  - {id: reseller, models_of: [acme], models: []}
"""
NOON = "2026-01-05T12:00:00Z"
HEADERS = {"organization": "acme", "channel": "test", "principal": "test", "schema": "1", "refused": "0"}
REPLACEMENT = {"provider": "acme", "model": "lion", "tokens": {"input": 1}}
OF_A = {"source": "app", "id": "a"}


def inference(id: str, source: str = "app", **data: Any) -> bytes:
    fields = {"source": source, "id": id, "time": NOON, "type": "tallystick.inference.v1"}
    return json.dumps(fields | {"data": {"provider": "ACME", "model": "Lion"} | data}).encode()


def correction(id: str, **data: Any) -> bytes:
    fields = {"source": "app", "id": id, "time": NOON, "type": "tallystick.correction.v1"}
    return json.dumps(fields | {"data": {"of": OF_A, "reason": "wrong"} | data}).encode()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Fold a log whose first book is replaced by another after the events."""
    home = tmp_path / "home"
    digest, packed = pack_book(parse_book(BOOK, "base"))
    later, packed_later = pack_book(parse_book(BOOK.replace("base: 2", "base: 3"), "base"))
    log = EmbeddedLog(home)
    for name, document in ((digest, packed), (later, packed_later)):
        store_document(log, name, document)
    fold_lines(
        home,
        log,
        control("adopt-1", "price_book.adopted", name="base", document=digest),
        inference("a", tokens={"input": 101, "reasoning": 7, "cache_read_image": 0}),
        inference("b", tokens={"input": 1}, quantities={"pages": 2}),
        inference("b", source="x/y", model="zebra", tokens={"input": 5}),
        inference("hit", cached_from="a", tokens={"output": 1}),
        control("adopt-2", "price_book.adopted", name="base", document=later),
        correction("fix", action="replacement", replacement=REPLACEMENT),
        correction("undo", action="reversal"),
    )
    log.close()
    return home


def fold_lines(home: Path, log: EmbeddedLog, *lines: bytes, organization: str = "acme") -> None:
    """Append lines, a record each, and fold them."""
    for line in lines:
        log.append(EVENTS, [Draft(3, organization, HEADERS | {"organization": organization}, line)])
    store = Store(home)
    partition = Partition(3, log, store, read_catalogues(log))
    while partition.step():
        pass
    store.close()


def explain(home: Path, *arguments: str, code: int = 0) -> Any:
    result = invoke("price", "explain", *arguments, "--json", TALLY_HOME=str(home))
    assert result.returncode == code, result.stdout + result.stderr
    return json.loads(result.stdout)


def test_the_rate_of_each_class_is_explained(home: Path) -> None:
    facts = explain(home, "a")
    assert not facts["differs"] and [step["outcome"] for step in facts["steps"]] == [
        "counted", "reversal", "replacement", "reversal",
    ]  # fmt: skip
    counted, first_reversal, replacement, last_reversal = facts["steps"]
    assert counted["event"] == {"provider": "ACME", "model": "Lion"} and counted["tier_basis"] == "event"
    assert counted["price"]["rates"]["input"]["tier_above"] == 100
    assert counted["price"]["rates"]["reasoning"]["falls_back_on"] == "output"
    assert first_reversal["lines"][0]["list_cost"] == "-0.000404000000"
    assert replacement["lines"][0]["list_cost"] == "0.000003000000", "by the books in force at the correction"
    assert last_reversal["lines"][0]["list_cost"] == "-0.000003000000" and last_reversal["differences"] == []


def test_a_restated_entry_is_explained_by_the_prices_that_it_has(home: Path) -> None:
    log = EmbeddedLog(home)
    restatement = control("restate", "price.restated", first_offset=0, end_offset=8)
    fold_lines(home, log, restatement, organization=PLATFORM)
    fold_lines(home, log, correction("undo-b", of={"source": "app", "id": "b"}, action="reversal"))
    log.close()
    facts = explain(home, "app/b")
    assert not facts["differs"] and [(step["outcome"], step.get("reason")) for step in facts["steps"]] == [
        ("counted", None), ("reversal", "restatement"), ("restatement", None), ("reversal", "reversal"),
    ]  # fmt: skip
    costs = [step["lines"][0]["list_cost"] for step in facts["steps"]]
    assert costs == ["0.000002000000", "-0.000002000000", "0.000003000000", "-0.000003000000"]
    assert all(step["differences"] == [] for step in facts["steps"])


def test_the_way_from_a_name_to_its_price_is_shown(tmp_path: Path) -> None:
    """By spelling, step and alias, each as the rule has it."""
    document, packed = pack_book(parse_book(NAMES, "names"))
    cases: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
        "plain": ({"model": "LION"}, (1, "lion", "lion", "acme")),
        "path": ({"model": "litellm/acme/lion-latest"}, (1, "litellm/acme/lion-latest", "lion", "acme")),
        "dated": ({"model": "lion-2026-01-01"}, (2, "lion-2026-01-01", "lion", "acme")),
        "maker": ({"provider": "gateway", "model": "lion-xl"}, (3, "lion-xl", "lion-xl", "acme")),
        "any": ({"provider": "gateway", "model": "otter"}, (5, "otter", "otter", "acme")),
        "resold": ({"provider": "reseller", "model": "otter"}, (1, "otter", "otter", "reseller")),
        "resolved": ({"model": "nothing", "model_resolved": "otter"}, (1, "otter", "otter", "acme")),
        "asked": ({"model": "otter", "model_resolved": "nothing"}, (1, "otter", "otter", "acme")),
        "aliased": ({"provider": "host", "model": "prod-chat"}, (2, "lion-20260101", "lion", "acme")),
    }
    with closing(EmbeddedLog(tmp_path)) as log:
        store_document(log, document, packed)
        alias: dict[str, Any] = {"name": "prod-chat", "priced_provider": "acme", "priced_model": "lion-20260101"}
        events = [inference(id, tokens={"input": 1}, **names) for id, (names, _) in cases.items()]
        fold_lines(
            tmp_path, log, control("adopt", "price_book.adopted", name="names", document=document),
            control("alias", "model.aliased", **alias), *events,
        )  # fmt: skip
    for id, (_, answer) in cases.items():
        (step,) = explain(tmp_path, id)["steps"]
        way = step["way"]
        assert (way["step"], way["name"], way["spelling"], way["seller"]) == answer, id
        assert ("alias" in way) == (id == "aliased")
    text = invoke("price", "explain", "aliased", TALLY_HOME=str(tmp_path)).stdout
    assert "prices the call as acme/lion-20260101" in text
    assert (
        "step 2 of rule R6, the call's provider, without the date: lion-20260101, read as lion, of provider acme"
        in text
    )


CONTRACT = """
name: spend
currency: USD
terms: [{model: lion, rates: {output: 8}}, {discount: 25}]
commitments: [{name: units, period: day, units: 3, rates: {input: 1}}, {name: rest, period: day, amount: 1}]
"""


def test_a_contract_is_explained_by_term_and_commitment(home: Path) -> None:
    log = EmbeddedLog(home)
    digest, packed = pack_contract(parse_contract(CONTRACT, "the test"))
    store_document(log, digest, packed)
    fold_lines(
        home,
        log,
        control("sign", "contract.signed", name="spend", document=digest),
        inference("c", tokens={"input": 4, "output": 1}),
        correction("undo-c", of={"source": "app", "id": "c"}, action="reversal"),
    )
    log.close()
    facts = explain(home, "c")
    assert not facts["differs"]
    for step in facts["steps"]:
        contract = step["contract"]
        assert (contract["name"], contract["document"]) == ("spend", digest)
        assert contract["classes"] == {
            "input": {"term": 1, "discount": "25", "commitments": [{"name": "units", "covered": 3, "of": 4}]},
            "output": {
                "term": 0, "rate": "8", "per": 1_000_000,
                "commitments": [{"name": "rest", "covered": "0.000008", "of": "0.000008"}],
            },
        }  # fmt: skip
        assert step["books"][0]["price_id"] == "base/acme/lion#0", "the books are asked without the contract"
    text = invoke("price", "explain", "c", TALLY_HOME=str(home), COLUMNS="200").stdout
    assert "term 1: 25 % off; covered by units, 3 of 4" in text and "term 0: 8 for 1,000,000" in text


def test_an_id_of_several_sources_is_named_with_its_source(home: Path) -> None:
    result = invoke("price", "explain", "b", TALLY_HOME=str(home), COLUMNS="200")
    assert result.returncode == 2 and "SOURCE/ID" in result.stderr
    (step,) = explain(home, "x/y/b")["steps"]
    assert step["books"][0]["price_id"] is None and step["books"][0]["reason"] == step["unpriced_reason"]
    (step,) = explain(home, "app/b")["steps"]
    assert step["pricing"] == "partially_priced" and step["lines"][1]["list_cost"] is None


def test_an_unknown_event_is_named(home: Path) -> None:
    result = invoke("price", "explain", "nothing", TALLY_HOME=str(home))
    assert result.returncode == 2 and "nothing" in result.stderr


def test_a_cache_hit_shows_what_it_saved(home: Path) -> None:
    (step,) = explain(home, "hit")["steps"]
    assert step["pricing"] == "free" and step["saved_cost"] == "0.000010000000" and not step["differences"]


def test_people_read_it_as_text(home: Path) -> None:
    text = invoke("price", "explain", "a", TALLY_HOME=str(home)).stdout
    assert "matched    provider acme, model lion by equals lion" in text and "tier above 100" in text


def test_an_entry_that_differs_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rate_call = rating.rate_call

    def rate_wrongly(*arguments: Any) -> Any:
        entry = rate_call(*arguments)
        return entry._replace(rated=entry.rated.replace(b"0.000010", b"0.000011"))

    monkeypatch.setattr(price_explanation, "rate_call", rate_wrongly)
    assert explain(home, "hit", code=1)["steps"][0]["differences"] == ["saved_cost"]
    assert "DIFFERS" in invoke("price", "explain", "hit", TALLY_HOME=str(home)).stdout


def fold_new(home: Path, book: str, *lines: bytes) -> None:
    """Fold a book and the events that it prices."""
    document, packed = pack_book(parse_book(book, "the test"))
    with closing(EmbeddedLog(home)) as log:
        store_document(log, document, packed)
        fold_lines(home, log, control("adopt", "price_book.adopted", name="base", document=document), *lines)


def explain_directly(home: Path, name: str, organization: str | None = None) -> dict[str, Any]:
    with closing(EmbeddedLog(home)) as log:
        return price_explanation.explain_event(log, name, organization)


def test_a_quarantined_line_is_rated_as_one_whatever_its_reason(tmp_path: Path) -> None:
    """One that is free has no reason, and neither has its reversal."""
    wrong: dict[str, Any] = {"tokens": {"input": 10}, "reported_tokens": {"input": 11}}
    fold_new(
        tmp_path, BOOK, inference("a", response_cache="hit", **wrong), correction("undo", action="reversal"),
        inference("b", **wrong), correction("undo-b", of={"source": "app", "id": "b"}, action="reversal"),
    )  # fmt: skip
    for id in ("a", "b"):
        steps = explain_directly(tmp_path, id)["steps"]
        assert [(step["outcome"], step["differences"]) for step in steps] == [("quarantined", []), ("reversal", [])]


def test_what_fell_due_with_one_record_keeps_its_index(tmp_path: Path) -> None:
    """A book that was held applies between the calls that were held before and after it."""
    dearer, packed = pack_book(parse_book(BOOK.replace("base: 2", "base: 3"), "base"))
    ahead = datetime.now(UTC) + timedelta(seconds=301.5)
    moments = [(ahead + timedelta(milliseconds=place)).isoformat() for place in range(4)]
    with closing(EmbeddedLog(tmp_path)) as log:
        store_document(log, dearer, packed)
    book = json.loads(control("dearer", "price_book.adopted", name="base", document=dearer)) | {"time": moments[1]}
    calls = [json.loads(inference(id, tokens={"input": 1})) for id in ("early", "late")]
    fix = json.loads(correction("undo", of={"source": "app", "id": "nothing"}, action="reversal"))
    lines = [
        json.dumps(line | {"time": time}).encode()
        for line, time in ((calls[0], moments[0]), (fix, moments[0]), (calls[1], moments[2]))
    ]
    fold_new(tmp_path, BOOK, *lines, json.dumps(book).encode())
    time.sleep(max(0, (ahead - datetime.now(UTC)).total_seconds() - 299.9))
    with closing(EmbeddedLog(tmp_path)) as log:
        fold_lines(tmp_path, log, inference("now", tokens={"input": 1}))
    for id, cost in (("early", "0.000002000000"), ("late", "0.000003000000")):
        held, released = explain_directly(tmp_path, id)["steps"]
        assert held["outcome"] == "held" and released["outcome"] == "release"
        assert released["lines"][0]["list_cost"] == cost and released["differences"] == []


VARIANTS = """
name: base
currency: USD
priced_as: {reasoning: [output]}
providers:
  - id: acme
    models:
      - id: lion
        prices:
          - until: 2027-01-01T00:00:00Z
            rates: {input: {base: 2, tiers: [{above: 100, rate: 4}]}, output: 10}
        variants:
          - {when: {service_tier: batch}, multiplier: 0.5}
          - {when: {speed: fast}, rates: {output: 30}, until: 2027-01-01T00:00:00Z}
"""


def test_a_variant_shows_its_tier_its_multiplier_and_its_fallbacks(tmp_path: Path) -> None:
    usage = {"input": 101, "reasoning": 7}
    fold_new(tmp_path, VARIANTS, inference("a", tokens=usage, service_tier="batch", speed="fast"))
    (step,) = explain_directly(tmp_path, "a")["steps"]
    price = step["price"]
    assert step["differences"] == [] and step["price_id"] == "base/acme/lion#0+0+1"
    assert price["until"].startswith("2027-01-01")
    assert [variant["when"] for variant in price["variants"]] == [{"service_tier": "batch"}, {"speed": "fast"}]
    assert price["variants"][0]["multiplier"] == "0.5" and price["variants"][1]["classes"] == ["output"]
    rates = price["rates"]
    assert (rates["input"]["tier_above"], rates["input"]["multiplier"]) == (100, "0.5")
    assert "variant" not in rates["input"]
    assert rates["reasoning"] == {
        "per": 1_000_000, "falls_back_on": "output", "variant": 1, "multiplier": "0.5",
    }  # fmt: skip
    text = invoke("price", "explain", "a", TALLY_HOME=str(tmp_path), COLUMNS="200").stdout
    assert "variant 1, falls back on output, times 0.5" in text and "tier above 100, times 0.5" in text
    assert "without a start, until 2027-01-01" in text and "service_tier batch: times 0.5" in text


def test_a_cache_hit_is_explained_by_the_price_that_it_saved(home: Path) -> None:
    (step,) = explain_directly(home, "hit")["steps"]
    assert step["answered_by"] == "gateway cache" and step["books"][0]["price_id"] == "base/acme/lion#0"
    text = invoke("price", "explain", "hit", TALLY_HOME=str(home), COLUMNS="200").stdout
    assert "answered by the gateway's cache, so it costs nothing: saved 0.000010000000 USD" in text
    assert "nothing to price" not in text


def test_an_id_of_two_organizations_is_named_with_one(home: Path) -> None:
    with closing(EmbeddedLog(home)) as log:
        fold_lines(home, log, inference("a", tokens={"input": 1}), organization="other")
    with pytest.raises(TallyError, match=r"of acme, app/a of other\): name the organization with --organization"):
        explain_directly(home, "app/a")
    assert explain_directly(home, "app/a", "other")["organization"] == "other"
    with pytest.raises(TallyError, match="no event 'app/a' of nobody"):
        explain_directly(home, "app/a", "nobody")


def draw_history(choice: random.Random, id: str) -> Iterator[bytes]:
    """Yield lines about one event: revisions, repeats, and corrections that may change nothing."""
    of = {"source": "app", "id": id}
    totals: dict[str, Any] = {} if choice.random() < 0.7 else {"reported_tokens": {"input": 9}}
    yield inference(id, tokens={"input": 1}, **totals)
    for number in range(choice.randint(0, 5)):
        action = choice.choice(("revision", "conflict", "reversal", "replacement", "release"))
        if action == "revision":
            yield inference(id, tokens={"input": choice.randint(1, 200)}, revision=number + 1)
        elif action == "conflict":
            yield inference(id, tokens={"input": 77})
        else:
            count = choice.randint(1, 200)
            body = {"replacement": REPLACEMENT | {"tokens": {"input": count}}} if action == "replacement" else {}
            yield correction(f"{id}-{number}", of=of, action=action, **body)


@pytest.mark.parametrize("seed", range(6))
def test_the_entry_in_force_is_the_sum_of_the_history(tmp_path: Path, seed: int) -> None:
    """Whatever became of an event: all its lines sum to the entry in force, or to nothing where it has none."""
    choice = random.Random(seed)
    ids = [f"e{number}" for number in range(8)]
    later, packed_later = pack_book(parse_book(BOOK.replace("base: 2", "base: 3"), "base"))
    lines = [line for id in ids for line in draw_history(choice, id)]
    fold_new(tmp_path, BOOK, *lines)
    with closing(EmbeddedLog(tmp_path)) as log:
        store_document(log, later, packed_later)
        end = log.end(EVENTS, 3)
        restatement = control("restate", "price.restated", first_offset=0, end_offset=end)
        fold_lines(tmp_path, log, control("adopt-2", "price_book.adopted", name="base", document=later))
        fold_lines(tmp_path, log, restatement, organization=PLATFORM)
        fold_lines(
            tmp_path, log, *(correction(f"{id}-z", of={"source": "app", "id": id}, action="reversal") for id in ids[:2])
        )
    for id in ids:
        facts = explain_directly(tmp_path, id)
        summary = facts["summary"]
        for name in ("list_cost", "billed_cost"):
            costs = [line[name] for step in facts["steps"] for line in step.get("lines", ()) if line[name] is not None]
            assert sum(map(Decimal, costs)) == Decimal(summary.get(name, 0)), (seed, id)
        bounds = [Decimal(step.get("greatest_unpriced_cost", 0)) for step in facts["steps"]]
        assert sum(bounds) == Decimal(summary.get("greatest_unpriced_cost", 0)), (seed, id)
        if "step" in summary:
            assert facts["steps"][summary["step"]]["position"] == summary["position"]


def test_the_summary_comes_first(home: Path) -> None:
    names = (
        "  in force   counted at 3-2-0",
        "  model      Lion, provider ACME",
        "  cost       list 0.000002, contracted",
    )
    lines = invoke("price", "explain", "app/b", TALLY_HOME=str(home)).stdout.splitlines()
    assert lines[0] == "app/b of acme" and all(map(str.startswith, lines[1:], names))
    assert "effective 0.000002, billed 0.000002 USD; partially priced (pages), without an upper bound" in lines[3]
    assert lines[4].startswith("  rates      price book base") and lines[4].endswith("price base/acme/lion#0")
    text = invoke("price", "explain", "a", TALLY_HOME=str(home)).stdout
    assert "taken back at 3-7-0 by the correction app/undo (wrong), so it is in no sum" in text
    assert "cost       nothing; saved 0.00001 USD" in invoke("price", "explain", "hit", TALLY_HOME=str(home)).stdout


def test_an_entry_of_a_closed_month_names_the_month_that_bills_it(home: Path) -> None:
    with closing(EmbeddedLog(home)) as log:
        replacement = {"replacement": REPLACEMENT | {"tokens": {"input": 2}}}
        fix = correction("fix-c", of={"source": "app", "id": "c"}, action="replacement", **replacement)
        fold_lines(
            home, log, inference("c", tokens={"input": 1}), control("close", "period.closed", month="2026-01"), fix
        )
    assert explain(home, "c")["summary"]["billing_month"] == "2026-02"
    text = invoke("price", "explain", "c", TALLY_HOME=str(home)).stdout
    assert "  billed in  2026-02, since the month of the call is closed" in text


def test_a_long_history_is_shortened_and_json_has_all(tmp_path: Path) -> None:
    replacements = [
        correction(f"fix-{count}", action="replacement", replacement=REPLACEMENT | {"tokens": {"input": count + 1}})
        for count in range(1, 16)
    ]
    fold_new(tmp_path, BOOK, inference("a", tokens={"input": 1}), *replacements)
    text = invoke("price", "explain", "a", TALLY_HOME=str(tmp_path)).stdout
    assert "of 31 lines of history" in text and "11 earlier lines are left out" in text
    assert text.count("  searched ") == 1 and text.count(" reversal (replacement)") == 10
    assert len(explain(tmp_path, "a")["steps"]) == 31


def test_a_cost_that_is_not_known_is_said_once_with_its_bound(tmp_path: Path) -> None:
    fold_new(
        tmp_path, BOOK, inference("tier", service_tier="scale", tokens={"input": 1}),
        inference("missing", usage_source="missing"), inference("zero", tokens={"input": 0}),
    )  # fmt: skip
    costs = {
        "tier": "unpriced (input), at most 0.000002 USD at list price: no rate for service tier 'scale'",
        "missing": "unknown, without an upper bound: usage missing",
        "zero": "nothing",
    }
    for name, cost in costs.items():
        assert f"  cost       {cost}\n" in invoke("price", "explain", name, TALLY_HOME=str(tmp_path)).stdout
