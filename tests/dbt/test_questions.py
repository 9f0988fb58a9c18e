"""Each question of docs/sql.md, run as `tally sql` runs it, on one ledger that is made once."""

import os
import re
from collections.abc import Iterator

import pytest

from dashboards.pages.sql.questions import Question, read_questions
from ledger.settings import Settings
from tests.dashboards.server import ROOT, warehouse
from tests.dbt.question_home import fill_home
from tests.dbt.question_results import run_question, write_results
from tests.warehouse.plugin import InstallWarehouse

PAGE = ROOT / "docs/sql.md"
QUESTIONS = read_questions(PAGE.read_text())


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse) -> Iterator[Settings]:
    with warehouse(install_warehouse(tmp_path_factory.mktemp("questions")).home) as settings:
        fill_home(settings)
        if os.environ.get("TALLY_TEST_WRITE") == "docs/sql.md":
            results = [run_question(settings, question) for question in QUESTIONS]
            PAGE.write_text(write_results(PAGE.read_text(), iter(results)))
            QUESTIONS[:] = read_questions(PAGE.read_text())
        yield settings


def test_every_heading_is_a_question_of_its_own() -> None:
    assert len(QUESTIONS) == PAGE.read_text().count("\n### ") == len({question.title for question in QUESTIONS})


@pytest.mark.parametrize("number", range(len(QUESTIONS)), ids=lambda number: QUESTIONS[number].title)
def test_a_question_has_the_answer_that_the_page_shows(settings: Settings, number: int) -> None:
    question = QUESTIONS[number]
    _check_form(question)
    result = run_question(settings, question)
    assert result.count("\n") >= 2, "it has rows"
    assert question.result == result, (
        "TALLY_TEST_WRITE=docs/sql.md pytest tests/dbt/test_questions.py writes the results"
    )


def _check_form(question: Question) -> None:
    """Check that a question reads marts alone, and that its statement can be read at a glance."""
    tables = re.findall(r"(?<!\w)(?:from|join) ((?!\()[\w.]+)", question.sql)
    names = set(re.findall(r"(?:with|,) (\w+) as \(", question.sql))
    assert tables and all(re.fullmatch(r"analytics\.(?:fct|dim)_\w+", table) or table in names for table in tables)
    assert question.text and question.title.endswith("?")
    assert len(question.sql.splitlines()) <= 20 and max(map(len, question.sql.splitlines())) <= 120
