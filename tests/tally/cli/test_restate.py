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
from tally.product.restatement import plan_restatement
from tallystick import Inference, InferenceEvent
from tests.tally.conftest import invoke
from tests.warehouse.plugin import InstallWarehouse

BOOK = "{name: ours, currency: USD, providers: [{id: us, models: [{id: house, prices: [{rates: {input: 2}}]}]}]}"
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
        assert [month for month, _ in find_closes(log, "acme")] == [MONTH]
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
