"""Places in the code that make an error for a user, and a record of those that a test reaches."""

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from ingest.api.problem import Problem
from ingest.intake.rejection import Rejection
from ledger.errors import TallyError
from tests.tally.conftest import ROOT

KINDS: tuple[type[Exception], ...] = (TallyError, Rejection, Problem)
FOLDERS = ("ledger", "ingest", "streams", "alerting", "warehouse", "audit", "dashboards", "tally")


class Site(NamedTuple):
    """A call that makes an error: its file, its function, and the lines that it takes."""

    file: str
    function: str
    first: int
    last: int

    @property
    def name(self) -> str:
        return f"{self.file}:{self.function}"


def find_sites() -> list[Site]:
    """Find all places."""
    calls: list[Site] = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            calls += _find_in(ast.parse(path.read_text()), str(path.relative_to(ROOT)), "")
    return calls


def _find_in(node: ast.AST, file: str, function: str) -> Iterator[Site]:
    for child in ast.iter_child_nodes(node):
        inner = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        callee = child.func.id if isinstance(child, ast.Call) and isinstance(child.func, ast.Name) else ""
        if isinstance(child, ast.Call) and callee in {kind.__name__ for kind in KINDS}:
            yield Site(file, function, child.lineno, child.end_lineno or child.lineno)
        yield from _find_in(child, file, inner)


@contextmanager
def reaching(places: set[tuple[str, int]]) -> Iterator[None]:
    """Record the file and line of every such error that is made."""

    def make_recorder(original: Callable[..., None]) -> Callable[..., None]:
        def init(self: Exception, *arguments: Any, **keywords: Any) -> None:
            frame = sys._getframe(1)
            file = Path(frame.f_code.co_filename)
            if file.is_relative_to(ROOT):
                places.add((str(file.relative_to(ROOT)), frame.f_lineno))
            original(self, *arguments, **keywords)

        return init

    def plain(self: Exception, *arguments: Any, **keywords: Any) -> None:
        Exception.__init__(self, *arguments)

    with (
        patch.object(TallyError, "__init__", make_recorder(plain)),
        patch.object(Rejection, "__init__", make_recorder(Rejection.__init__)),
        patch.object(Problem, "__init__", make_recorder(Problem.__init__)),
    ):
        yield
