"""Answers are asked for again where something was stored since, and only there."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import streamlit as st

from dashboards.sources import warehouse as source
from ledger.settings import Settings
from tests.dashboards.feed import Feed, call, history
from tests.dashboards.server import warehouse
from tests.warehouse.plugin import InstallWarehouse
from warehouse.client import connect
from warehouse.rollups import build_rollups

CALLS = "select sum(calls) as calls from analytics.fct_usage_hourly"
TREES = "select count() as trees from analytics.fct_call_trees"


@pytest.fixture(scope="module")
def fed(
    tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse
) -> Iterator[tuple[Settings, Feed]]:
    with warehouse(install_warehouse(tmp_path_factory.mktemp("answers")).home) as settings:
        feed = Feed(settings)
        feed.begin()
        feed.add(history(2, 100, datetime.now(UTC)))
        yield settings, feed
        feed.close()


@pytest.fixture
def statements(fed: tuple[Settings, Feed], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that the warehouse was sent, without those that ask for its state."""
    monkeypatch.setenv("TALLY_HOME", str(fed[0].home))
    sent: list[str] = []
    query = source._query

    def note(home: str, sql: str, parameters: dict[str, Any]) -> list[source.Row]:
        if sql != source._STATE:
            sent.append(sql)
        return query(home, sql, parameters)

    monkeypatch.setattr(source, "_query", note)
    st.cache_data.clear()
    yield sent
    st.cache_data.clear()


def ask_later(sql: str) -> list[source.Row]:
    """Ask as later than answers live."""
    for cache in (source._ask, source._ask_slowly, source._read_state):
        cache.clear()
    return source.ask(sql)


def test_an_answer_holds_until_something_is_stored(fed: tuple[Settings, Feed], statements: list[str]) -> None:
    (row,) = ask_later(CALLS)
    assert ask_later(CALLS) == [row] and statements == [CALLS]
    fed[1].add([call("later-1", datetime.now(UTC))])
    assert ask_later(CALLS)[0]["calls"] > row["calls"]
    assert statements == [CALLS, CALLS]


def test_call_trees_are_asked_for_again_when_they_are_built(fed: tuple[Settings, Feed], statements: list[str]) -> None:
    client = connect(fed[0])
    build_rollups(client)
    (row,) = ask_later(TREES)
    fed[1].add([call("later-2", datetime.now(UTC))])
    assert ask_later(TREES) == [row]
    build_rollups(client)
    assert ask_later(TREES)[0]["trees"] > row["trees"]


def test_a_statement_that_asks_for_the_time_is_always_sent(fed: tuple[Settings, Feed], statements: list[str]) -> None:
    assert ask_later("select now() as time") and ask_later("select now() as time")
    assert len(statements) == 2


def test_a_view_that_is_replaced_is_asked_again(fed: tuple[Settings, Feed], statements: list[str]) -> None:
    client = connect(fed[0])
    client.command("create or replace view analytics.answer as select 1 as number")
    assert ask_later("select number from analytics.answer") == [{"number": 1}]
    client.command("create or replace view analytics.answer as select 2 as number")
    assert ask_later("select number from analytics.answer") == [{"number": 2}]
    client.command("drop view analytics.answer")
