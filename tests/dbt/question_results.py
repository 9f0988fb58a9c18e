"""The results of the questions of docs/sql.md, as the page shows them."""

import re
from collections.abc import Iterator

from dashboards.pages.sql.questions import QUESTION, Question
from ledger.settings import Settings
from tally.sql_client import read_answer


def run_question(settings: Settings, question: Question) -> str:
    """Run a question as `tally sql` does, and return its result as a table of Markdown."""
    lines = b"".join(read_answer(settings, question.sql, "TabSeparatedWithNames")).decode().splitlines()
    names, *rows = [[_render(field) for field in line.split("\t")] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names), *rows))


def write_results(page: str, results: Iterator[str]) -> str:
    """Return the page's text with other results, in the order of its questions."""

    def write(match: re.Match[str]) -> str:
        return f"{match[0][: match.start('result') - match.start()]}\n{next(results)}\n\n"

    return QUESTION.sub(write, page).rstrip() + "\n"


def _render(field: str) -> str:
    return {"\\N": "null", "": " "}.get(field, field.replace("|", "\\|"))
