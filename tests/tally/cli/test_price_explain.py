"""``tally price explain``: each entry is rated again, and everything that decided its price is shown."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

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
