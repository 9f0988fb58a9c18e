"""``tally price diff``: what a book would change, before anybody adopts it."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.controls.prices import adopt_price_book
from ingest.intake.batch import Envelope
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.pricing.price_book_file import parse_book
from ledger.settings import Settings
from tallystick import Inference, InferenceEvent
from tests.tally.conftest import invoke

HOUSE = """
name: {name}
currency: USD
providers: [{{id: us, models: [{{id: house, prices: [{{rates: {rates}}}]}}]}}]
"""
NEWEST = datetime(2026, 3, 10, 12, tzinfo=UTC)


def write_book(path: Path, rates: str, name: str = "ours") -> str:
    path.write_text(HOUSE.format(name=name, rates=rates))
    return str(path)


def append_call(log: EmbeddedLog, id: str, time: datetime = NEWEST, **fields: Any) -> None:
    data = Inference(**({"provider": "us", "model": "house", "tokens": {"input": 1_000_000}} | fields))
    line = InferenceEvent(id=id, source="test", time=time, data=data).canonical()
    log.append(EVENTS, [Envelope("acme", "test", "test").make_draft(line)])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Append calls of three months, by a book that costs 2 a million."""
    home = tmp_path / "home"
    with closing(EmbeddedLog(home)) as log:
        adopt_price_book(log, Settings(home=home), parse_book(HOUSE.format(name="base", rates="{input: 2}"), "base"))
        append_call(log, "january", NEWEST - timedelta(days=60), team="search")
        append_call(log, "february", NEWEST - timedelta(days=30), team="search")
        append_call(log, "march", team="search", payer="customer")
        append_call(log, "text", team="support", tokens={"input": 1, "output": 7})
        append_call(log, "unknown", team="support", model="other")
    return home


def diff(home: Path, *arguments: str) -> Any:
    result = invoke("price", "diff", *arguments, "--json", TALLY_HOME=str(home))
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def test_the_calls_of_the_newest_month_and_the_one_before_are_compared(home: Path, tmp_path: Path) -> None:
    facts = diff(home, write_book(tmp_path / "ours.yaml", "{input: 5, output: 10}"))
    assert (facts["since"], facts["until"], facts["in_force"]) == ("2026-02-01T00:00:00+00:00", None, False)
    assert (facts["calls"], facts["changed_calls"]) == (4, 3)
    assert (facts["unpriced_before"], facts["unpriced_after"], facts["pending_calls"]) == (2, 1, 0)
    (total,) = facts["totals"]
    assert (total["list_before"], total["list_after"]) == ("4.000002000000", "10.000075000000")
    assert (total["billed_before"], total["billed_difference"]) == ("2.000002000000", "3.000073000000")
    teams = {(row["team"], row["month"]): row["list_difference"] for row in facts["groups"]}
    assert teams == {
        ("search", "2026-02"): "3.000000000000", ("search", "2026-03"): "3.000000000000",
        ("support", "2026-03"): "0.000073000000",
    }  # fmt: skip
    names = ("token_class", "rate_before", "rate_after", "calls")
    assert [tuple(rate[name] for name in names) for rate in facts["rates"]] == [
        ("input", "2", "5", 3), ("output", None, "10", 1),
    ]  # fmt: skip
    (reason,) = facts["reasons"]
    assert (reason["reason_before"], reason["pricing_after"]) == ("no rate for a class", "priced")


def test_times_choose_the_calls(home: Path, tmp_path: Path) -> None:
    book = write_book(tmp_path / "ours.yaml", "{input: 5}")
    assert diff(home, book, "--until", "2026-02-01")["calls"] == 1
    assert diff(home, book, "--since", "2026-02-01", "--until", "2026-03-01")["calls"] == 1
    assert diff(home, book, "--since", "2026-01-01")["changed_calls"] == 4
    assert diff(home, book, "--since", "2026-04-01")["calls"] == 0
    text = invoke("price", "diff", book, "--since", "2026-04-01", TALLY_HOME=str(home)).stdout
    assert "No calls from 2026-04-01 to the newest." in text


def test_calls_that_older_prices_rated_are_told_apart(home: Path, tmp_path: Path) -> None:
    with closing(EmbeddedLog(home)) as log:
        adopt_price_book(log, Settings(home=home), parse_book(HOUSE.format(name="base", rates="{input: 3}"), "base"))
    facts = diff(home, write_book(tmp_path / "ours.yaml", "{input: 4}"))
    (total,) = facts["totals"]
    assert (facts["pending_calls"], facts["changed_calls"]) == (3, 3)
    assert [total[f"list_{name}"] for name in ("recorded", "before", "after")] == [
        "4.000002000000", "6.000003000000", "8.000004000000",
    ]  # fmt: skip
    assert {(rate["rate_before"], rate["rate_after"]) for rate in facts["rates"]} == {("3", "4")}
    text = invoke("price", "diff", str(tmp_path / "ours.yaml"), TALLY_HOME=str(home)).stdout
    assert "prices that are no longer in force rated 3: the ledger has 4.000002 USD" in text


def test_a_book_in_force_changes_nothing_and_says_so(home: Path, tmp_path: Path) -> None:
    book = write_book(tmp_path / "base.yaml", "{input: 2}", name="base")
    facts = diff(home, book)
    assert facts["in_force"] and facts["changed_calls"] == 0 and facts["groups"] == []
    text = invoke("price", "diff", book, TALLY_HOME=str(home)).stdout
    assert "base (a file) is in force already: adopting it changes nothing." in text


def test_people_read_tables_reasons_and_warnings(home: Path, tmp_path: Path) -> None:
    book = tmp_path / "ours.yaml"
    models = "[{id: house, prices: [{rates: {output: 10}}]}, {id: other, prices: [{rates: {input: 1}}]}]"
    openai = "{id: openai, models: [{id: gpt-4o, prices: [{rates: {input: 1, output: 1}}]}]}"
    book.write_text(f"{{name: ours, currency: USD, providers: [{{id: us, models: {models}}}, {openai}]}}")
    result = invoke("price", "diff", str(book), TALLY_HOME=str(home), COLUMNS="200")
    text = result.stdout
    assert "Calls from 2026-02-01 to the newest: 4, as of 20" in text
    assert (
        "USD: 4.000002 before, 1.00007 after. Difference -2.999932 (-75.0 %) at list price, -0.999932 billed." in text
    )
    assert "Calls that become unpriced: 2 (no rate for a class: 2)." in text
    assert "Calls that become priced: 1 (no price of the model: 1)." in text
    assert "Organization" in text and "Old rate" in text
    assert f"`tally price adopt {book}`, then `tally price restate --since 2026-02-01`" in text.replace("\n", " ")
    assert "Warning: provider openai: azure sells its models too" in result.stderr


def test_a_call_without_usage_keeps_its_cost_and_gets_another_bound(home: Path, tmp_path: Path) -> None:
    later, totals = NEWEST + timedelta(days=40), {"input": 9, "output": 0}
    with closing(EmbeddedLog(home)) as log:
        append_call(log, "no usage", later, tokens=None, reported_tokens=totals)
    book = write_book(tmp_path / "ours.yaml", "{input: 5}")
    facts = diff(home, book, "--since", "2026-04-01")
    assert (facts["changed_calls"], facts["same_cost_calls"], facts["groups"]) == (0, 1, [])
    assert facts["totals"][0]["list_difference"] == "0.000000000000"
    text = invoke("price", "diff", book, "--since", "2026-04-01", TALLY_HOME=str(home)).stdout
    assert "with another reason, upper bound or tier: 1." in text and "Old rate" not in text


def test_nothing_that_changes_is_said(home: Path, tmp_path: Path) -> None:
    text = invoke("price", "diff", write_book(tmp_path / "ours.yaml", "{input: 2}"), TALLY_HOME=str(home)).stdout
    assert "No call changes: the book gives each of them the price that it has." in text


def test_the_installed_catalogue_is_compared_without_a_file(home: Path) -> None:
    facts = diff(home)
    assert (facts["name"], facts["in_force"], facts["replaces"]) == ("genai-prices", False, None)


def test_what_is_wrong_is_named(home: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("{name: x}")
    for arguments, words in (
        ([str(bad)], "bad.yaml, currency: is missing"),
        (["--since", "yesterday"], "--since is 'yesterday': write a day or a time"),
        (["--since", "2026-10-02", "--until", "2026-10-01"], "--since 2026-10-02 is not before --until 2026-10-01"),
        ([write_book(tmp_path / "key.yaml", "{input: 1}", name="me@example.com")], "is a key or an e-mail address"),
    ):
        result = invoke("price", "diff", *arguments, TALLY_HOME=str(home))
        assert result.returncode == 2 and words in " ".join(result.stderr.split()), result.stderr
    result = invoke("price", "diff", TALLY_HOME=str(tmp_path / "nowhere"))
    assert result.returncode == 2 and "Create one" in result.stderr
