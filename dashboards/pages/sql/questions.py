"""The worked questions of docs/sql.md: each a heading, a sentence, a statement and the table of its result (pure)."""

import re
from typing import NamedTuple

QUESTION = re.compile(
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
    return [Question(*(part.strip() for part in match.groups())) for match in QUESTION.finditer(page)]
