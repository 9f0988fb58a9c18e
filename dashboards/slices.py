"""Slices of a table, as its search and its pages select them in the warehouse (pure)."""

from collections.abc import Sequence
from typing import NamedTuple

from dashboards.spelling import ABSENT_NAME

SIZE = 12


class Slice(NamedTuple):
    """The rows of a table that a reader wants: those with a text, from ``first`` (0 is the first one), so many."""

    search: str = ""
    first: int = 0
    size: int = SIZE

    @property
    def last(self) -> int:
        """The number of its last row, counted from 1."""
        return self.first + self.size

    def build_parameters(self, prefix: str = "") -> dict[str, object]:
        """Return the parameters of a query: ``{search}``, ``{first}`` and ``{size}``."""
        return {f"{prefix}search": self.search, f"{prefix}first": self.first, f"{prefix}size": self.size}


def build_search(columns: Sequence[str], prefix: str = "") -> str:
    """Return the condition that one of these columns has the searched text; an absent name is found by its sign."""
    parameter = f"{{{prefix}search:String}}"
    texts = ", ".join(f"if(toString({column}) = '', '{ABSENT_NAME}', toString({column}))" for column in columns)
    return f"(empty({parameter}) or positionCaseInsensitiveUTF8(concatWithSeparator(' ', {texts}), {parameter}) > 0)"


def build_limit(prefix: str = "") -> str:
    """Return the clause that takes the rows of a slice."""
    return f"limit {{{prefix}size:UInt32}} offset {{{prefix}first:UInt32}}"
