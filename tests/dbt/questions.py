"""The questions of docs/sql.md: each a heading, a sentence, a statement and the table of its result."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ledger.settings import Settings
from tally.sql_client import read_answer
from tests.dashboards.server import ROOT

PAGE = ROOT / "docs/sql.md"
_QUESTION = re.compile(
    r"^### (?P<title>[^\n]+)\n(?P<text>(?:(?!```).)+?)```sql\n(?P<sql>.*?)```\n(?P<result>.*?)(?=^##|\Z)",
    re.MULTILINE | re.DOTALL,
)


class Question(NamedTuple):
    """A question of the page, and the result that the page shows, as a table of Markdown."""

    title: str
    text: str
    sql: str
    result: str


def read_questions(page: str) -> list[Question]:
    """Read the questions of the page's text."""
    return [Question(*(part.strip() for part in match.groups())) for match in _QUESTION.finditer(page)]


def run_question(settings: Settings, question: Question) -> str:
    """Run a question as `tally sql` does, and return its result as a table of Markdown."""
    lines = b"".join(read_answer(settings, question.sql, "TabSeparatedWithNames")).decode().splitlines()
    names, *rows = [[_render(field) for field in line.split("\t")] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names), *rows))


def write_results(page: str, results: Iterator[str]) -> str:
    """Return the page's text with other results, in the order of its questions."""

    def write(match: re.Match[str]) -> str:
        return f"{match[0][: match.start('result') - match.start()]}\n{next(results)}\n\n"

    return _QUESTION.sub(write, page).rstrip() + "\n"


def _render(field: str) -> str:
    return {"\\N": "null", "": " "}.get(field, field.replace("|", "\\|"))
