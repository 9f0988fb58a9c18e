"""The page SQL over a real warehouse: a statement of the address, its answer, its refusal; the catalogue beside it."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import streamlit as st

from dashboards.components.html import mark_code
from dashboards.pages.sql import tables
from dashboards.pages.sql.page import QUESTIONS
from dashboards.pages.sql.questions import read_questions
from dashboards.sources import statements
from dashboards.sources.statements import Answer
from ledger.settings import Settings
from tests.dashboards.feed import Feed
from tests.dashboards.screenshots import open_page, read_html
from warehouse.client import find_analyst_address

Full = tuple[Settings, Feed]
BY_TEAM = "select team, sum(tokens) as token_count from analytics.fct_usage group by team order by team"


def test_a_link_shows_the_answer_and_when_it_was_read(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(full[0], monkeypatch, "sql", sql=BY_TEAM)
    text = read_html(app)
    assert "growth" in text and "token_count" in text and f"rows as of {datetime.now(UTC):%Y-%m-%d}" in text
    assert not app.error and app.text_area[0].value == BY_TEAM


def test_a_chart_is_a_link_too(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(full[0], monkeypatch, "sql", sql=BY_TEAM, view="chart")
    assert app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart")
    words = open_page(full[0], monkeypatch, "sql", sql="select 'a' as x, 'b' as y", view="chart")
    assert "needs a column of numbers" in words.info[0].value


def test_a_question_is_written_into_the_editor(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(full[0], monkeypatch, "sql")
    assert "Choose a worked question" in app.info[0].value
    question = read_questions(QUESTIONS.read_text())[0]
    app.selectbox(key="question").select(question.title).run()
    assert app.text_area[0].value == question.sql and not app.exception


def test_the_catalogue_has_units_and_grain(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    text = read_html(open_page(full[0], monkeypatch, "sql", mart="fct_budgets"))
    assert "One row per budget in its present state" in text
    assert "Length of the rolling window." in text and ">seconds<" in text


def test_names_between_backticks_are_code_and_stay_text() -> None:
    assert mark_code("of `fct_usage`, `<b>`") == "of <code>fct_usage</code>, <code>&lt;b&gt;</code>"
    assert mark_code("a ` alone") == "a ` alone"


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select nothing from analytics.fct_usage", "Unknown expression identifier `nothing`"),
        ("create table analytics.x (a UInt8) engine = Memory", "analysts send SELECT"),
        ("select file('/etc/passwd')", "Code: "),
        ("select * from system.processes", "Code: "),
        ("select 1; select 2", "Code: "),
    ],
)
def test_a_refusal_says_why(full: Full, monkeypatch: pytest.MonkeyPatch, sql: str, reason: str) -> None:
    app = open_page(full[0], monkeypatch, "sql", sql=sql)
    assert app.error[0].value == "The warehouse rejects the statement."
    assert reason in app.code[0].value and "http://" not in app.code[0].value and "version" not in app.code[0].value


def test_an_answer_without_rows_and_one_beyond_the_limit(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no rows" in open_page(full[0], monkeypatch, "sql", sql="select 1 where 0").info[0].value
    text = read_html(open_page(full[0], monkeypatch, "sql", sql="select number as n from numbers(10001)"))
    assert "The first 10,000 rows" in text and "The first 200 rows. The download has all" in text


def test_an_empty_ledger_says_how_to_begin(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "The ledger is empty" in open_page(empty, monkeypatch, "sql").header[0].value


def test_it_asks_as_the_user_who_only_reads(full: Full) -> None:
    assert find_analyst_address(full[0]).user == "analyst"


def test_values_are_written_with_all_digits() -> None:
    answer = Answer(
        ("day", "costs", "by"),
        [(datetime(2026, 1, 2, 3), [Decimal("0.000000000001"), Decimal("1E+3")], {"USD": None})], False,
        datetime.now(UTC), 0.1,
    )  # fmt: skip
    assert tables.build_csv(answer).splitlines() == [
        "day,costs,by",
        '2026-01-02 03:00:00,"[0.000000000001, 1000]",{USD: None}',
    ]


def test_a_server_gets_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_data.clear()
    server = Settings(warehouse="http://u:p@localhost:1")
    assert statements._build_limits(server) == {"readonly": 1, "max_execution_time": statements.MAX_SECONDS}
    assert find_analyst_address(server).user == "u"
