"""``tally price restate`` and ``tally period``: a price learned late, and a month that is closed before it."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.controls.periods import close_period, find_closes
from ingest.controls.prices import adopt_price_book
from ingest.intake.batch import Envelope
from ledger.errors import TallyError
from ledger.log import partition_of
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.pricing.price_book_file import parse_book
from ledger.settings import Settings
from tally.cli.period import _render_months
from tally.product.restatement import plan_restatement
from tallystick import Inference, InferenceEvent
from tests.tally.conftest import invoke
from tests.warehouse.plugin import InstallWarehouse

BOOK = "{name: ours, currency: USD, providers: [{id: us, models: [{id: house, prices: [{rates: {input: 2}}]}]}]}"
CONTRACT = """
name: ours
currency: USD
provider: us
terms: []
commitments:
  - {name: spend, period: month, amount: 4}
"""
NOW = datetime.now(UTC)
LAST_MONTH = NOW.replace(day=1) - timedelta(days=3)
MONTH, THIS_MONTH = LAST_MONTH.strftime("%Y-%m"), NOW.strftime("%Y-%m")


def append_calls(log: EmbeddedLog, *calls: tuple[str, datetime, dict[str, Any]]) -> None:
    lines = [
        InferenceEvent(
            id=id, source="test", time=time, data=Inference(provider="us", model="house", **data)
        ).canonical()
        for id, time, data in calls
    ]
    log.append(EVENTS, [Envelope("default", "test", "test").make_draft(b"\n".join(lines))])


def read_json(home: Path, *arguments: str) -> Any:
    result = invoke(*arguments, "--json", TALLY_HOME=str(home))
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


@pytest.mark.timeout(600)
def test_a_closed_month_stays_and_what_is_restated_is_billed_in_the_open_one(
    tmp_path: Path, install_warehouse: InstallWarehouse
) -> None:
    home = install_warehouse(tmp_path).home
    settings = Settings(home=home)
    with closing(EmbeddedLog(home)) as log:
        append_calls(
            log, ("a", LAST_MONTH, {"team": "search", "tokens": {"input": 1_000_000}}),
            ("b", NOW, {"team": "support", "tokens": {"input": 3_000_000}}),
        )  # fmt: skip
        close_period(log, settings, "default", MONTH, None)
    closed = read_json(home, "period", "show", MONTH)
    assert [(row["team"], row["billed_cost"][:3], row["unpriced_quantity"]) for row in closed["rows"]] == [
        ("search", "0.0", 1_000_000)
    ]
    with closing(EmbeddedLog(home)) as log:
        adopt_price_book(log, settings, parse_book(BOOK, "the test"))
        end = log.ends(EVENTS)
    planned = read_json(home, "price", "restate", "--dry-run", "--until", NOW.strftime("%Y-%m-01"))
    (move,) = planned["moves"]
    assert (move["team"], move["month"], move["billing_month"]) == ("search", MONTH, THIS_MONTH)
    assert (move["list_before"][:1], move["list_after"][:1], move["billed_difference"][:1]) == ("0", "2", "2")
    assert (move["calls"], move["unpriced_before"], move["unpriced_after"], planned["records"]) == (1, 1, 0, 1)
    with closing(EmbeddedLog(home)) as log:
        assert log.ends(EVENTS) == end, "a dry run appends nothing"
    restated = read_json(home, "price", "restate")
    assert [move["team"] for move in restated["moves"]] == ["search", "support"]
    assert read_json(home, "price", "restate", "--dry-run")["moves"] == []
    assert read_json(home, "period", "show", MONTH) == closed
    rows = read_json(home, "period", "show", THIS_MONTH)["rows"]
    assert [(row["month"], row["team"], row["currency"], row["billed_cost"][:1]) for row in rows] == [
        (THIS_MONTH, "support", "", "0"), (THIS_MONTH, "support", "USD", "6"), (MONTH, "search", "", "0"),
        (MONTH, "search", "USD", "2"),
    ]  # fmt: skip
    assert read_json(home, "verify")["difference"] is None


@pytest.mark.timeout(600)
def test_a_close_shows_what_it_ends_and_asks_and_tables_explain_what_a_contract_covers(
    tmp_path: Path, install_warehouse: InstallWarehouse
) -> None:
    home = install_warehouse(tmp_path).home
    settings = Settings(home=home)
    variables = {"TALLY_HOME": str(home), "COLUMNS": "100"}
    before_last = LAST_MONTH.replace(day=1) - timedelta(days=3)
    with closing(EmbeddedLog(home)) as log:
        append_calls(
            log, ("a", before_last, {"team": "search", "tokens": {"input": 1_000_000}}),
            ("b", LAST_MONTH, {"tokens": {"input": 3_000_000}}),
        )  # fmt: skip
    ended = invoke("period", "close", THIS_MONTH, **variables)
    assert ended.returncode == 2 and f"the last month that can be closed is {MONTH}" in ended.stderr
    dry = invoke("period", "close", MONTH, "--dry-run", **variables)
    assert "without all of it: 2." in dry.stdout and "Nothing was closed." in dry.stdout, dry.stdout + dry.stderr
    assert "(none)" in dry.stdout and before_last.strftime("%Y-%m") in dry.stdout
    with closing(EmbeddedLog(home)) as log:
        adopt_price_book(log, settings, parse_book(BOOK, "the test"))
    (tmp_path / "contract.yaml").write_text(CONTRACT)
    assert invoke("contract", "sign", str(tmp_path / "contract.yaml"), **variables).returncode == 0
    options = ("--since", before_last.strftime("%Y-%m-01"), "--reason", "the new contract")
    dry = invoke("price", "restate", *options, "--dry-run", **variables)
    lines = dry.stdout.splitlines()
    assert lines[-1] == f"To append it: tally price restate --since {options[1]} --reason 'the new contract'"
    assert lines[-2] == "Would restate 2 calls." and "(no team)" in dry.stdout
    assert max(map(len, lines)) <= 100 and "Organization" not in dry.stdout and "Billed\nin" not in dry.stdout
    assert [line.split() for line in lines if line.startswith(" Total")] == [
        ["Total", "USD", "2", "0", "8", "8", "2", "2", "→", "0"]
    ]
    assert invoke("price", "restate", *options, **variables).returncode == 0
    shown = invoke("period", "show", MONTH, **variables).stdout
    assert [line.split() for line in shown.splitlines() if line.startswith(" Total")] == [
        ["Total", "USD", "3,000,000", "6", "6", "6", "2"]
    ]
    assert "Commitments covered 4 USD: effective cost includes it, billed cost does not;" in shown
    assert "1 row is left out: every figure is zero." in shown and "Unpriced" not in shown
    assert max(len(line) for line in shown.splitlines() if "Commitments" not in line) <= 100
    refused = invoke("period", "close", MONTH, stdin="n\n", **variables)
    assert refused.returncode == 1 and "No month" in invoke("period", "list", **variables).stdout
    assert invoke("period", "close", MONTH, "--yes", "--reason", "books", **variables).returncode == 0
    listed = invoke("period", "list", **variables).stdout
    assert f"{MONTH} and all before" in listed and "books" in listed and "Closed by" not in listed


@pytest.mark.parametrize(
    ("previous_month", "month", "text"),
    [
        ("", "2026-10", "2026-10 and all before"), ("2026-09", "2026-10", "2026-10"),
        ("2025-11", "2026-01", "2025-12 to 2026-01"), ("2025-12", "2026-02", "2026-01 to 2026-02"),
    ],
)  # fmt: skip
def test_a_close_names_the_months_that_it_implies(previous_month: str, month: str, text: str) -> None:
    assert _render_months(previous_month, month) == text


def test_a_month_is_closed_once_and_after_its_end(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with closing(EmbeddedLog(tmp_path)) as log:
        assert close_period(log, settings, "acme", MONTH, None).partition == partition_of("acme")
        with pytest.raises(TallyError, match=f"{MONTH} of acme is closed already: the last closed month is {MONTH}"):
            close_period(log, settings, "acme", MONTH, None)
        with pytest.raises(TallyError, match=f"{THIS_MONTH} has not ended: the last .* is {MONTH}"):
            close_period(log, settings, "acme", THIS_MONTH, None)
        with pytest.raises(TallyError, match="the month is 'October': write year and month, for example 2026-10"):
            close_period(log, settings, "acme", "October", None)
        assert [close.month for close in find_closes(log, "acme")] == [MONTH]
        assert not list(find_closes(log, "other"))


def test_a_time_that_is_none_is_named(tmp_path: Path) -> None:
    result = invoke("price", "restate", "--since", "yesterday", TALLY_HOME=str(tmp_path))
    assert result.returncode == 2 and "--since is 'yesterday': write a day or a time" in result.stderr


def test_a_scope_without_calls_is_told_apart_from_prices_that_stay(tmp_path: Path) -> None:
    with closing(EmbeddedLog(tmp_path)) as log:
        append_calls(log, ("a", NOW, {"tokens": {"input": 1}}))
        append_calls(log, ("b", NOW, {"tokens": {"input": 1}}))
        scopes: list[tuple[dict[str, str], bool]] = [
            ({}, True), ({"provider": "US", "model": "House"}, True), ({"provider": "nobody"}, False),
            ({"model": "gpt-99"}, False), ({"since": (NOW + timedelta(days=1)).isoformat()}, False),
            ({"until": NOW.isoformat()}, False),
        ]  # fmt: skip
        for scope, has_calls in scopes:
            assert plan_restatement(log, Settings(home=tmp_path), scope, None).has_calls == has_calls, scope
    result = invoke("price", "restate", "--provider", "nobody", TALLY_HOME=str(tmp_path), COLUMNS="200")
    assert result.returncode == 0 and "no past call matches" in result.stdout


def test_a_span_that_ends_before_it_begins_is_an_error(tmp_path: Path) -> None:
    span = ("--since", "2026-11-02", "--until", "2026-11-01")
    result = invoke("price", "restate", *span, TALLY_HOME=str(tmp_path), COLUMNS="200")
    assert result.returncode == 2
    assert "--since 2026-11-02 is not before --until 2026-11-01" in result.stderr
