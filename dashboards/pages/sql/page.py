"""The page SQL: an editor for one statement, the catalogue of marts beside it, and the answer as a table or a chart."""

from pathlib import Path

import streamlit as st

from dashboards.components import empty_ledger
from dashboards.components.controls import pick
from dashboards.components.html import draw_note, mark_code
from dashboards.pages.sql import tables
from dashboards.pages.sql.questions import Question, read_questions
from dashboards.sources.statements import (
    MAX_ROWS,
    MAX_SECONDS,
    Answer,
    StatementRejected,
    forget_answers,
    run_statement,
)
from dashboards.sources.usage import find_extent
from dashboards.sources.warehouse import ask_slowly, guard_page
from warehouse.catalogue import COLUMNS, Mart, parse_marts

QUESTIONS = Path(__file__).parents[3] / "docs" / "sql.md"
FIRST_MART = "fct_usage"


@guard_page
def page() -> None:
    if find_extent() is None:
        empty_ledger.show()
        return
    st.header("SQL", anchor=False)
    with st.container(key="sql_page"):  # the theme places these three, in another order on narrow screens
        editor, result, catalogue = st.container(), st.container(), st.container()
    with editor:
        sql = _show_editor()
    with catalogue:
        _show_catalogue()
    with result:
        _show_result(sql)


def _show_editor() -> str:
    """Show the worked questions and the editor, and return the statement."""
    questions = {question.title: question for question in _read_questions()}
    title = st.selectbox(
        "Worked questions", list(questions), index=None, key="question", placeholder="Worked questions",
        on_change=_write_statement, args=(questions,), label_visibility="collapsed",
    )  # fmt: skip
    if title in questions and st.session_state.get("sql") == questions[title].sql:
        draw_note(questions[title].text)
    sql = st.text_area(
        "Statement", key="sql", height=260, bind="query-params", label_visibility="collapsed",
        placeholder="select team, sum(billed_cost) as spend\nfrom analytics.fct_usage\ngroup by team",
    )  # fmt: skip
    st.button("Run", type="primary", icon=":material/play_arrow:", on_click=forget_answers)
    draw_note(
        f"One statement of ClickHouse's SQL, read-only: at most {MAX_SECONDS} s, and the first {MAX_ROWS:,} rows. "
        "Ctrl+Enter runs it. The address of this page holds it."
    )
    return (sql or "").strip()


def _show_result(sql: str) -> None:
    if not sql:
        st.info("Choose a worked question, or write a statement over the marts.")
        return
    try:
        answer = run_statement(sql)
    except StatementRejected as error:
        st.error("The warehouse rejects the statement.", icon=":material/error:")
        st.code(str(error)[:2000], language=None, wrap_lines=True)
        return
    _show_answer(answer)


def _read_questions() -> list[Question]:
    """Read the worked questions; none where the product runs without its documents."""
    return read_questions(QUESTIONS.read_text()) if QUESTIONS.exists() else []


def _write_statement(questions: dict[str, Question]) -> None:
    if (question := questions.get(st.session_state["question"])) is not None:
        st.session_state["sql"] = question.sql


def _show_catalogue() -> None:
    marts = {mart.name: mart for mart in parse_marts([tuple(row.values()) for row in ask_slowly(COLUMNS)])}
    if not marts:
        st.info("The marts are not built yet: `tally warehouse models` builds them.")
        return
    names = list(marts)
    name = st.selectbox(
        "Mart", names, index=names.index(FIRST_MART) if FIRST_MART in names else 0, key="mart", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    _show_mart(marts[name or FIRST_MART])


def _show_mart(mart: Mart) -> None:
    draw_note(mark_code(mart.description))
    with st.container(height=320, border=False):
        tables.draw_columns(mart)


def _show_answer(answer: Answer) -> None:
    row_count = "1 row" if len(answer.rows) == 1 else f"{len(answer.rows):,} rows"
    count = f"The first {row_count}" if answer.is_cut else row_count
    draw_note(f"{count} as of {answer.read_at:%Y-%m-%d %H:%M:%S} UTC, in {answer.duration_s:.1f} s.")
    if not answer.rows:
        st.info("The statement has no rows.")
        return
    numbers = tables.list_numbers(answer)
    if pick("View", ("table", "chart"), "view") == "chart":
        if not numbers:
            st.info("A chart needs a column of numbers behind the first column.")
            return
        tables.draw_chart(answer, pick("Column", numbers, "y") if len(numbers) > 1 else numbers[0])
    else:
        tables.draw_answer(answer)
        if len(answer.rows) > tables.MAX_SHOWN_ROWS:
            draw_note(f"The first {tables.MAX_SHOWN_ROWS} rows. The download has all that were read.")
    st.download_button(
        "Download CSV", tables.build_csv(answer), "tallystick.csv", "text/csv", icon=":material/download:"
    )
