"""``tally correct``: what it shows and refuses before anything is appended."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingest.intake.batch import Envelope
from ledger import envelope
from ledger.log.documents import store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.organizations import PLATFORM
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from tally.cli.app import app
from tests.streams.build import BOOK, DOCUMENTS, adopt, call, control


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedLog:
    monkeypatch.setenv("TALLY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TALLY_ORGANIZATION", "acme")
    log = EmbeddedLog(tmp_path / "home")
    for digest, packed in DOCUMENTS.items():
        store_document(log, digest, packed)
    lines = [
        adopt(), call("a", team="search"), call("a", tokens={"input": 5_000_000}),
        call("q", tokens={"input": 7}, reported_tokens={"input": 9}), call("h", at_s=10**9),
        call("twin", source="shop/web"), call("twin", source="shop/app"),
    ]  # fmt: skip
    log.append(EVENTS, [Envelope("acme", "test", "test").make_draft(b"\n".join(lines))])
    return log


def correct(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["correct", *arguments, "--reason", "a test", "--dry-run", "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return str(result.exception)
    return result.output


@pytest.mark.parametrize(
    ("arguments", "before", "after", "cost"),
    [
        (["a", "--reverse"], {"input": 1_000_000}, {}, {}),
        (["test/a", "--set", "tokens.input=3000000"], {"input": 1_000_000}, {"input": 3_000_000}, "3"),
        (["a", "--set", "tokens=", "--set", "team=ops"], {"input": 1_000_000}, {}, {}),
        (["a", "--accept", "0:2"], {"input": 1_000_000}, {"input": 5_000_000}, "5"),
        (["q", "--release"], {}, {"input": 7}, "0.000007"),
        (["h", "--release"], {}, {"input": 1_000_000}, "1"),
        (["shop/web/twin", "--reverse"], {"input": 1_000_000}, {}, {}),
    ],
)
def test_before_and_after(log: EmbeddedLog, arguments: list[str], before: object, after: object, cost: object) -> None:
    end = log.ends(EVENTS)
    facts = json.loads(correct(*arguments))
    assert facts["before"]["quantities"] == before and facts["after"]["quantities"] == after
    costs = {currency: amount.rstrip("0").rstrip(".") for currency, amount in facts["after"]["billed_costs"].items()}
    assert costs == ({"USD": cost} if isinstance(cost, str) else cost)
    assert log.ends(EVENTS) == end, "a dry run appends nothing"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nobody", "--reverse"], "no event of organization acme has the name 'nobody'"),
        (["twin", "--reverse"], "2 events have the name 'twin': give the source too"),
        (["book", "--reverse"], "people/book is of kind control"),
        (["a"], "give one of --reverse"),
        (["a", "--reverse", "--release"], "give one of --reverse"),
        (["a", "--release"], "would change nothing: the event is counted already"),
        (["a", "--accept", "0:1"], "would change nothing: that line is the version in force"),
        (["a", "--accept", "7:0"], "would change nothing: no event with this identity stands at offset 7"),
        (["a", "--accept", "7"], "write OFFSET:INDEX"),
        (["a", "--set", "team"], "write FIELD=VALUE"),
        (["a", "--set", "colour=red"], "has no field colour"),
        (["a", "--set", "tokens.input=many"], "tokens.input"),
    ],
)
def test_a_refusal_says_why(log: EmbeddedLog, arguments: list[str], problem: str) -> None:
    assert problem in correct(*arguments)


def test_a_restated_event_is_shown_as_it_was_restated(log: EmbeddedLog) -> None:
    late_digest, late = pack_book(parse_book(BOOK.replace("input: 1,", "input: 3,"), "the test"))
    store_document(log, late_digest, late)
    log.append(EVENTS, [Envelope("acme", "test", "test").make_draft(call("other"))])
    late_book = control("late", "price_book.adopted", name="test", document=late_digest)
    restatement = control("restate", "price.restated", first_offset=0, end_offset=2)
    draft = Envelope("acme", "test", "test").make_draft(b"\n".join([late_book, restatement]))
    log.append(EVENTS, [draft._replace(headers={**draft.headers, envelope.ORGANIZATION: PLATFORM})])
    facts = json.loads(correct("a", "--reverse"))
    assert facts["before"]["billed_costs"] == {"USD": "3.000000000000"} and facts["after"]["billed_costs"] == {}
